// Package webstatus serves a page that shows how a node is: connections, peers, messages, bans and the stages of handshakes. It only
// reads, needs nothing from elsewhere, and knows no more of the node than the node.Overview that its Source gives.
//
// Whatever a browser, a page open in it beside ours, or a peer's words may try: nothing but GET and HEAD is answered, no name but those of
// this machine is, no script but ours runs, and every text of a peer is escaped.
package webstatus
