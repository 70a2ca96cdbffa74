// Questions in a dialog: a link with data-dialog leads to a page that asks; its [data-question] is shown right here.

import { localise } from "./moments.js";
import { fetched } from "./parts.js";

export function ask(root) {
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    // Whatever goes wrong, the page itself asks as well.
    show(link.href).catch(() => location.assign(link.href));
  });
}

async function show(address) {
  const question = (await fetched(address)).querySelector("[data-question]");
  if (!question) throw new Error("no question there");
  const dialog = document.createElement("dialog");
  const title = question.querySelector("h1, h2");
  if (title) {
    title.id = "question";
    dialog.setAttribute("aria-labelledby", "question");
  }
  dialog.append(document.importNode(question, true));
  localise(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    const away = event.target.closest("a[data-close]");
    if (away) {
      event.preventDefault();
      dialog.close();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}
