// Package browsertest opens the status page in a real browser. It is a module of its own, so that nobody who uses this one gets the
// browser's protocol with it.
package browsertest
