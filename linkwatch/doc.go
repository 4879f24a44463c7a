// Package linkwatch tells what happens to this machine's network: an interface
// goes down or up, an address or the route to the outside comes or goes.
//
// Watch runs until its context ends. On Linux the kernel tells of changes at
// once; elsewhere, or where it may not be asked, the interfaces are looked at
// every 5 s.
package linkwatch
