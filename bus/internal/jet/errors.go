package jet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrConfig: settings that contradict each other or cannot be read.
var ErrConfig = errors.New("bus: bad NATS configuration")

// Errors of everything that stores or reads. They say what the caller may
// conclude; errors.Is also finds what NATS reported.
var (
	// ErrUnconfirmed: no answer came. What was asked for may have happened or
	// may still happen. A publish is safe to repeat with the same Mid.
	ErrUnconfirmed = errors.New("bus: not confirmed")
	// ErrRefused: the store answered no; nothing was stored.
	ErrRefused = errors.New("bus: refused by the store")
	// ErrUnavailable: nothing could be asked (no server, no stream, no leader);
	// nothing was stored.
	ErrUnavailable = errors.New("bus: store unavailable")
	// ErrOverload: as many operations are in flight as the window allows, and nothing
	// was sent; or the stream is full, and nothing was stored.
	ErrOverload = errors.New("bus: too many operations in flight")
	// ErrTooLarge: over the server's maximum payload; nothing was sent.
	ErrTooLarge = errors.New("bus: message over the maximum payload")
	// ErrClosed: the store or service was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrFenced: the server that leads the directory, or thinks that it does, has the
	// entry at another revision than the given one; nothing was stored. Whose it is,
	// a read tells.
	ErrFenced = errors.New("bus: directory entry has another owner")
	// ErrBusy: another write to the directory entry is on its way, and nothing was
	// stored: try again in a moment. Who wins is not known yet.
	ErrBusy = errors.New("bus: directory entry is being written")
)

// APIError is an error that JetStream answered with.
type APIError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *APIError) Error() string {
	return fmt.Sprintf("JetStream: %s (%d)", e.Description, e.ErrCode)
}

// Is makes an answer of the API comparable with the errors of this package.
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrOverload:
		return e.ErrCode == codeFull
	case ErrFenced:
		return e.ErrCode == codeWrongLastSeq
	case ErrBusy:
		return e.ErrCode == codeWrongLastConst
	case ErrUnavailable:
		return e.ErrCode == codeUnavailable
	case ErrUnconfirmed:
		return e.ErrCode == codeDuplicateRace
	case ErrRefused:
		switch e.ErrCode {
		case codeWrongLastSeq, codeWrongLastConst, codeUnavailable, codeDuplicateRace:
			return false
		}
		return true
	}
	return false
}

// JetStream error codes that decisions are based on (nats-server errors.json).
const (
	codeUnavailable      = 10008 // no leader at the moment
	codeConsumerNotFound = 10014
	codeNoMessage        = 10037
	codeStreamNotFound   = 10059
	codeAccountRoom      = 10002 // resource limits of the account
	codeClusterRoom      = 10005 // no servers for the stream, for want of resources
	codeMemoryRoom       = 10028
	codeStorageRoom      = 10047 // the server has not as much left to reserve
	codeFull             = 10077 // the stream has reached a bound, and refuses what is new
	codeWrongLastSeq     = 10071 // wrong last sequence: another message is stored under the subject
	codeDuplicateRace    = 10158 // the first copy of a message id is still on its way to be stored
	codeWrongLastConst   = 10164 // wrong last sequence: another message is proposed for the subject
)

func hasCode(err error, codes ...int) bool {
	var e *APIError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrCode)
}

// NotFound reports whether the API answered that there is no such stream or consumer.
func NotFound(err error) bool { return hasCode(err, codeConsumerNotFound, codeStreamNotFound) }

// NoRoom reports whether a stream was refused because the bytes that it reserves are not
// there.
func NoRoom(err error) bool {
	api := answered(err)
	if api == nil {
		return false
	}
	switch api.ErrorCode {
	case codeAccountRoom, codeClusterRoom, codeMemoryRoom, codeStorageRoom:
		return true
	}
	return false
}

// SendError classifies an error of sending: nothing left this process.
func SendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// RequestError classifies an error of a request: only "no responders" proves
// that it reached nothing.
func RequestError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return SendError(err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
}

// Temporary reports whether asking again can help.
func Temporary(err error) bool {
	return errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBusy)
}

// JSError gives errors of nats.go's jetstream package the meaning of this one's.
func JSError(err error) error {
	if err == nil {
		return nil
	}
	if api := answered(err); api != nil {
		if api.ErrorCode == codeUnavailable {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if errors.Is(err, nats.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return RequestError(err)
}

// answered is what the API answered with, in either of the forms that package
// jetstream gives it; nil: it did not answer.
func answered(err error) *jetstream.APIError {
	var je jetstream.JetStreamError
	if errors.As(err, &je) && je.APIError() != nil {
		return je.APIError()
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api
	}
	return nil
}
