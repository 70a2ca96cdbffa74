// What is long is fetched when it is unfolded: <details data-source="/page"> gets the [data-part] of that page.
// Without scripts there is a link to the page inside.

import { localise } from "./moments.js";
import { fetched } from "./parts.js";

export function unfold(root) {
  root.addEventListener(
    "toggle",
    (event) => {
      const details = event.target;
      if (!details.open || !details.dataset.source) return;
      const source = details.dataset.source;
      delete details.dataset.source;
      fill(details, source).catch(() => {
        details.dataset.source = source; // the link stays, and the next unfolding tries again
      });
    },
    true, // this event does not bubble
  );
}

async function fill(details, source) {
  const part = (await fetched(source)).querySelector("[data-part]");
  if (!part) throw new Error("no part there");
  const summary = details.querySelector("summary");
  details.replaceChildren(summary, document.importNode(part, true));
  localise(details);
}
