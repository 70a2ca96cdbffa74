// Moments in the reader's own zone and way of writing. The server has written them in UTC, which stays as the title.

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Write every <time datetime> under root anew. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = `${zoned.format(at)} – ${time.textContent.trim()}`;
    time.textContent = whole.format(at);
  }
}
