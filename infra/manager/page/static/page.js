// What htmx cannot do: say that the connection is lost and how old the picture is, and open the dialog.
"use strict";
(() => {
  const QUIET_MS = 6000; // three beats of infra/manager/page/feed.py
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  const stream = by("stream"), dialog = by("dialog");
  let heard = Date.now(), connection = null;

  const show = (lost) => {
    if (by("lost").hidden !== lost) return;
    by("lost").hidden = !lost;
    root.classList.toggle("is-lost", lost);
    const at = new Date(heard).toISOString().slice(11, 19);
    by("lost-text").textContent = lost
      ? `Disconnected from the manager. What you see is from ${at} UTC. Trying to reconnect.` : "";
    if (!lost) by("notice").textContent = "Connected again.";
  };
  const alive = () => { heard = Date.now(); show(false); };

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
  document.addEventListener("visibilitychange", () => { heard = Math.max(heard, Date.now() - QUIET_MS / 2); });
  setInterval(() => {
    if (document.hidden) return;
    const age = Date.now() - heard;
    by("lost-age").textContent = `${Math.round(age / 1000)} s old`;
    if (age < QUIET_MS) return;
    show(true);
    if (!connection) htmx.trigger(stream, "connect");
    else if (age % QUIET_MS < 1000) connection.reader?.cancel(); // open, and silent
  }, 1000);

  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx.target === by("dialog-body") && !dialog.open) dialog.showModal();
  });
  document.addEventListener("htmx:error", () => { by("notice").textContent = "The manager did not answer."; });
  document.addEventListener("done", (event) => {
    dialog.close();
    by("notice").textContent = event.detail.text;
  });
})();
