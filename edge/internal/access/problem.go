package access

import (
	"errors"

	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// SignatureProblem says what the sender of a message is told that [Signatures.Check] has
// refused, and whether its connection ends with it: not if nothing is wrong with
// the message.
func SignatureProblem(err error) (text string, code protocol.Code, closes bool) {
	switch {
	case errors.Is(err, umf.ErrUnsigned):
		return "Not a signed UMF message", protocol.CodeUnsigned, true
	case errors.Is(err, ErrStale):
		return "Signed UMF message is outside the time window", protocol.CodeSignature, true
	case errors.Is(err, ErrReplay):
		return "Signed UMF message was sent before", protocol.CodeSignature, true
	case errors.Is(err, ErrReplayFull):
		return "Too many signed UMF messages within the time window", protocol.CodeOverload, false
	}
	return "Invalid signed UMF message", protocol.CodeSignature, true
}
