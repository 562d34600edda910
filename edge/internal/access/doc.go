// Package access decides who may connect and who a client is: by the origin of a
// page, by a token, by the answer of an authentication service, by the signature
// of a message. It also bounds what a client may try: session ids
// ([Guesses]) and messages that were sent before ([Replay]).
//
// It knows neither the node nor its sockets: a request comes as a [Handshake] or
// as the few strings of it that count, the time as an argument, and what happens
// at a bound is a callback, which counts it.
//
// # Design
//
// A token is looked for in the header Authorization first, then in the
// subprotocols, the cookie and the query ([FindToken]). Browsers can set no header
// for a WebSocket, but can offer a subprotocol; a cookie comes with every
// connection of theirs, so it must not win over what a page chose to send; and an
// address with a token in it ends in logs, so it is last.
//
// Loops check tokens, so a check reads nothing. The keys of a set are read in the
// background ([WatchKeys]). Rejected: to read them when a token names an unknown
// key, as package keyfunc does by default. Any client could then stop a loop for
// as long as the server of the keys takes to answer.
package access
