package bus

import (
	"errors"

	"hydrant/bus/internal/jet"
)

// Errors of what a service stores. They say what the caller may conclude;
// errors.Is also finds what NATS reported.
var (
	// ErrUnconfirmed: no answer came. The message may be stored, or may still be.
	// It is safe to send again with the same mid.
	ErrUnconfirmed = jet.ErrUnconfirmed
	// ErrRefused: the store answered no; nothing was stored.
	ErrRefused = jet.ErrRefused
	// ErrUnavailable: nothing could be asked (no server, no stream, no leader);
	// nothing was stored.
	ErrUnavailable = jet.ErrUnavailable
	// ErrOverload: as many pushes are in flight as the window allows; nothing
	// was sent.
	ErrOverload = jet.ErrOverload
	// ErrTooLarge: over the server's maximum payload; nothing was sent.
	ErrTooLarge = jet.ErrTooLarge
	// ErrClosed: the service was stopped.
	ErrClosed = jet.ErrClosed
	// ErrConfig: the NATS_* settings contradict each other or cannot be read.
	ErrConfig = jet.ErrConfig
)

// Errors of a Service.
var (
	// ErrServiceConfig: the configuration or a handler's registration is
	// wrong; or it came after Start.
	ErrServiceConfig = errors.New("bus: bad service configuration")
	// ErrNoReply: the sender of the message gave no way to answer.
	ErrNoReply = errors.New("bus: nowhere to reply to")
	// ErrNotUMF: what arrived is not a UMF message.
	ErrNotUMF = errors.New("bus: not a UMF message")
	// ErrNotASession: an address that is neither a via nor sid@client:/.
	ErrNotASession = errors.New("bus: not the address of a session")
	// ErrNoSession: there is no such session, as a node says, or the message is for
	// another one. Nobody gets it. Where no node answers, nothing is concluded.
	ErrNoSession = errors.New("bus: no such session")
	// ErrPanic: a handler panicked; the error holds the value and the stack.
	ErrPanic = errors.New("bus: handler panicked")
	// ErrConnection: nats.go has given the connection up, and does not dial again. The
	// error says why.
	ErrConnection = errors.New("bus: the connection to NATS was given up")
	// ErrDrain: a service was stopped before everything it had accepted was
	// done.
	ErrDrain = errors.New("bus: service stopped with work left")
)
