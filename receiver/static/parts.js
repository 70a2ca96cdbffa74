// Pages as they are fetched by a script: whole, made by our server, and never put together from text here.

/** Fetch a page of ours and return it as a document. Whoever has been signed out meanwhile is led to the sign-in. */
export async function fetched(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") {
    location.reload();
    throw new Error("signed out");
  }
  if (!answer.ok) throw Object.assign(new Error(`answered ${answer.status}`), { status: answer.status });
  // Scripts in a document that is made like this never run.
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
