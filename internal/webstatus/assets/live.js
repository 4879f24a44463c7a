// Fetches the page anew and puts what has changed of it in place. It draws nothing by itself: what a peer said stays the text that the
// server made of it.
"use strict";

const interval = 2000;
const note = document.getElementById("note");

function update(fresh) {
  document.title = fresh.title;
  if (!getSelection().isCollapsed) {
    return; // somebody copies something
  }
  for (const part of [...fresh.querySelectorAll("[data-live]")]) {
    const here = document.getElementById(part.id);
    if (here && here.outerHTML !== part.outerHTML) {
      here.replaceWith(document.adoptNode(part));
    }
  }
}

function say(text) {
  if (note.textContent !== text) {
    note.textContent = text;
    note.classList.toggle("lost", text !== "");
  }
}

function load() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", load, { once: true });
    return;
  }
  const request = new XMLHttpRequest();
  request.open("GET", "./");
  request.responseType = "document";
  request.timeout = 8000;
  request.onloadend = () => {
    if (request.status === 200 && request.response) {
      update(request.response);
      say("");
    } else {
      say("The node does not answer. What stands here is as it was then.");
    }
    setTimeout(load, interval);
  };
  request.send();
}

setTimeout(load, interval);
