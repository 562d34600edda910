package edge

import (
	"errors"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// newSignatures returns the check of signatures that the settings ask for; nil:
// none.
func newSignatures(cfg *config.Config, m *stats.Metrics) *access.Signatures {
	if cfg.Signature != config.SignatureRequired {
		return nil
	}
	return access.NewSignatures(cfg.SignatureKeys, cfg.SignatureWindow, m.Dropped.Counting(stats.DropReplayTable))
}

// signatureProblem says what the sender is told, and whether the connection ends
// with it: not if nothing is wrong with the message.
func signatureProblem(err error) (text string, code protocol.Code, closes bool) {
	switch {
	case errors.Is(err, umf.ErrUnsigned):
		return "Not a signed UMF message", protocol.CodeUnsigned, true
	case errors.Is(err, access.ErrStale):
		return "Signed UMF message is outside the time window", protocol.CodeSignature, true
	case errors.Is(err, access.ErrReplay):
		return "Signed UMF message was sent before", protocol.CodeSignature, true
	case errors.Is(err, access.ErrReplayFull):
		return "Too many signed UMF messages within the time window", protocol.CodeOverload, false
	}
	return "Invalid signed UMF message", protocol.CodeSignature, true
}
