// What htmx cannot do: say that the connection is lost and how old the picture is, and open the dialog.
"use strict";
(() => {
  const QUIET_MS = 6000; // three beats of infra/manager/page/feed.py
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  let fading = 0;
  const say = (text) => { // long enough to read; jobs and states say the rest
    by("notice").textContent = text;
    clearTimeout(fading);
    fading = setTimeout(() => { by("notice").textContent = ""; }, 30000);
  };
  const stream = by("stream"), dialog = by("dialog");
  let heard = Date.now(), shown = heard, connection = null;

  const show = (lost) => {
    if (by("lost").hidden !== lost) return;
    by("lost").hidden = !lost;
    root.classList.toggle("is-lost", lost);
    const at = new Date(heard).toISOString().slice(11, 19);
    by("lost-text").textContent = lost
      ? `Disconnected from the manager. What you see is from ${at} UTC. Trying to reconnect.` : "";
    if (!lost && !by("notice").textContent) say("Connected again."); // what is said already stays
  };
  const alive = () => { heard = Date.now(); root.dataset.live = "yes"; show(false); };

  const accept = (event) => { event.detail.ctx.request.headers.Accept = "text/event-stream"; };
  stream.addEventListener("htmx:config:request", accept); // else a session that has ended leads to the login
  stream.addEventListener("beat", (event) => {
    alive();
    if (event.detail.data !== root.dataset.build && !dialog.open) location.reload();
  });
  stream.addEventListener("htmx:after:sse:message", alive);
  stream.addEventListener("htmx:after:sse:connection", (event) => { connection = event.detail.connection; });
  stream.addEventListener("htmx:sse:close", () => { connection = null; });
  stream.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) location.reload(); // the token has expired
    show(true);
  });
  document.addEventListener("visibilitychange", () => { shown = Date.now(); }); // htmx pauses a hidden page
  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now(), quiet = now - Math.max(heard, shown);
    by("lost-age").textContent = `${Math.round((now - heard) / 1000)} s old`;
    if (quiet < QUIET_MS) return;
    show(true);
    if (quiet % QUIET_MS >= 1000) return;
    if (connection) connection.reader?.cancel(); // open, and silent
    else htmx.trigger(stream, "connect");
  }, 1000);

  const doubt = (form) => { // it may have been carried out; the form keeps what was entered
    const said = document.createElement("p");
    said.className = "error";
    said.setAttribute("role", "alert");
    said.textContent = "The manager did not answer, so it is not known whether this was done. "
      + "Look at the jobs and the targets before you send it again.";
    form.querySelector(".error[role=alert]")?.remove();
    form.prepend(said);
  };
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx.sourceElement.matches("main .action")) {
      by("notice").textContent = "";
      dialog.showModal();
    }
  });
  document.addEventListener("htmx:after:request", (event) => {
    const ctx = event.detail.ctx, problem = ctx.response.status >= 400;
    if (ctx.response.raw.redirected || ctx.response.status === 401) return location.reload(); // to the login
    if (!problem || ctx.response.headers.get("content-type").startsWith("text/html")) return;
    event.preventDefault(); // a problem document of the API: expired token, rate limit
    dialog.close();
    say(JSON.parse(ctx.text).detail);
  });
  document.addEventListener("htmx:error", (event) => {
    const source = event.detail.ctx?.sourceElement;
    if (source === stream) return;
    if (source?.matches("form[hx-post]")) return doubt(source);
    dialog.close();
    say("The manager did not answer, and nothing was changed. Try again when the page is connected.");
  });
  document.addEventListener("done", (event) => { dialog.close(); say(event.detail.text); });
  dialog.addEventListener("click", (event) => { if (event.target.closest(".close")) dialog.close(); });
  dialog.addEventListener("close", () => by("dialog-body").replaceChildren());
})();
