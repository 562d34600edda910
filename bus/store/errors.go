package store

import (
	"errors"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Errors of everything that stores or reads. They say what the caller may
// conclude; errors.Is also finds what NATS reported.
var (
	// ErrUnconfirmed: no answer came. What was asked for may have happened or
	// may still happen. A publish is safe to repeat with the same Mid.
	ErrUnconfirmed = jet.ErrUnconfirmed
	// ErrRefused: the store answered no; nothing was stored.
	ErrRefused = jet.ErrRefused
	// ErrUnavailable: nothing could be asked (no server, no stream, no leader);
	// nothing was stored.
	ErrUnavailable = jet.ErrUnavailable
	// ErrOverload: as many operations are in flight as the window allows, and nothing
	// was sent; or the stream is full, and nothing was stored.
	ErrOverload = jet.ErrOverload
	// ErrTooLarge: over the server's maximum payload; nothing was sent.
	ErrTooLarge = jet.ErrTooLarge
	// ErrClosed: the store was closed.
	ErrClosed = jet.ErrClosed
	// ErrConfig: a [Config] that no store can have.
	ErrConfig = jet.ErrConfig
	// ErrFenced: the server that leads the directory, or thinks that it does, has the
	// entry at another revision than the given one; nothing was stored. Whose it is,
	// [Directory.Sure] tells.
	ErrFenced = jet.ErrFenced
	// ErrBusy: another write to the directory entry is on its way, and nothing was
	// stored: try again in a moment. See the package's documentation, "The directory".
	ErrBusy = jet.ErrBusy
	// ErrNoSession: there is no such session. Only from [Directory.Sure] is that
	// more than a hint.
	ErrNoSession = errors.New("bus: no such session")
	// ErrNewerForm: a newer version keeps sessions in this directory, in a form that
	// this one does not know. Nothing is read or written.
	ErrNewerForm = scheme.ErrNewerForm
	// ErrBadEntry: a directory entry that no node can have written.
	ErrBadEntry = errors.New("bus: unreadable directory entry")
)
