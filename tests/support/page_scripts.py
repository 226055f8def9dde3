"""Scripts that a test runs in the page of another site."""

WAYS = """
async ({url, text, image}) => {
  const form = new FormData();
  const bytes = Uint8Array.from(atob(image), c => c.charCodeAt(0));
  form.append(url.includes("/v1/") ? "image" : "images", new Blob([bytes], {type: "image/png"}), "a.png");
  const plain = new Blob([text], {type: "text/plain"});
  const bodies = [text, plain, new Blob([text]), form, new URLSearchParams({a: text})];
  const requests = [...bodies.map(body => ({body})), {body: plain, referrerPolicy: "no-referrer"}];
  for (const one of requests) await fetch(url, {method: "POST", mode: "no-cors", ...one});
  let sent = requests.length + navigator.sendBeacon(url, plain);
  for (const enctype of ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]) {
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.name = "frame" + Math.random();
    const form = document.body.appendChild(document.createElement("form"));
    const field = form.appendChild(document.createElement("input"));
    Object.assign(form, {action: url, method: "POST", enctype, target: frame.name});
    [field.name, field.value] = [text.slice(0, -1) + ',"', '":1}'];
    form.submit();
    sent += 1;
  }
  return sent;
}
"""
"""Every way in which a page sends a POST without asking first; they return nothing that it can read."""

READ = """
async ({url, method, body, headers}) => {
  try {
    const answer = await fetch(url, {method, body, headers});
    return {status: answer.status, text: await answer.text(), headers: Object.fromEntries(answer.headers)};
  } catch (error) {
    return {error: error.name};
  }
}
"""
"""One request whose answer is read, or the error that comes instead."""

SEE = """
async url => {
  const found = [];
  const blind = await fetch(url, {mode: "no-cors"});
  found.push(blind.type, await blind.text());
  const image = new Image();
  await new Promise(resolve => { image.onload = image.onerror = resolve; image.src = url; });
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").drawImage(image.width ? image : canvas, 0, 0);
  try { canvas.toDataURL(); found.push(image.width ? "read" : "none"); }
  catch (error) { found.push("none"); }
  return found;
}
"""
"""What a page can see of a file without asking whether it may: nothing of what is in it."""
