package store

import (
	"errors"

	"hydrant/bus/internal/jet"
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
	// ErrOverload: as many operations are in flight as the window allows;
	// nothing was sent.
	ErrOverload = jet.ErrOverload
	// ErrTooLarge: over the server's maximum payload; nothing was sent.
	ErrTooLarge = jet.ErrTooLarge
	// ErrClosed: the store was closed.
	ErrClosed = jet.ErrClosed
	// ErrConfig: a [Config] that no store can have.
	ErrConfig = jet.ErrConfig
	// ErrFenced: the directory entry was written since the given revision; this
	// writer no longer owns the session.
	ErrFenced = jet.ErrFenced
	// ErrNoSession: the directory's leader says there is no such session.
	ErrNoSession = errors.New("bus: no such session")
	// ErrBadEntry: a directory entry that no node can have written.
	ErrBadEntry = errors.New("bus: unreadable directory entry")
	// ErrReaderClosed: Read after Close.
	ErrReaderClosed = errors.New("bus: reader closed")
)
