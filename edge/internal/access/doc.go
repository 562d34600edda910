// Package access decides who may connect and who a client is: by the origin of a
// page, by a token, by the answer of an authentication service, by the signature
// of a message; and who is an administrator ([Administrators]). It also bounds what a
// client may try: session ids ([Guesses]), tokens of administrators, and messages that
// were sent before ([Replay]).
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
// Who is let in was said yes to; everything else is no. What cannot be found out now
// is a third thing ([ErrUnchecked]), since programs take a no for the end of a login.
//
// Members of tokens, key sets and verdicts are found by their exact names (package
// umf). Rejected: structs with JSON tags, since encoding/json takes Sub for sub.
//
// Loops check tokens, so a check reads nothing. The keys of a set are read in the
// background ([KeySet]). A token that names an unknown key has them read again, at a
// bounded rate, and its bearer comes back meanwhile. Rejected: to wait for that, as
// package keyfunc does by default. Any client could then stop a loop for as long as
// the server of the keys takes to answer.
//
// A key set is read key by key, since a provider has keys for others in it. Rejected:
// package jwkset's own reading of sets, which package keyfunc stands on. One key that
// it does not know makes it refuse the set, so that every good token is refused, and
// a withdrawn key goes on to count. Of jwkset there is what makes numbers into keys.
//
// A signature says what was written, and not over which connection. All signers may
// share one secret, so that only from tells them apart: where it names the session of
// the connection, which the server chose, a copy is worthless on any other, without a
// look at what was sent before. Old clients sign client:/ or a name of their own; their
// copies are told by what all nodes have noted ([Signatures.Once]), if there is a
// window.
package access
