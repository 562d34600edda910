// Package session decides what a node does for one session's mailbox: what is
// written to the client and when, what is read from the store, what counts as
// delivered. It is a pure state machine: events in, effects out; no clock, no
// goroutine, no I/O.
package session
