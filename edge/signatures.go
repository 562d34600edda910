package edge

import (
	"errors"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/umf"
)

// newSignatures returns the check of signatures that the settings ask for; nil:
// none.
func newSignatures(cfg *config.Config, m *metrics) *access.Signatures {
	if cfg.Signature != config.SignatureRequired {
		return nil
	}
	return access.NewSignatures(cfg.SignatureKeys, cfg.SignatureWindow, m.dropped.with("replay_table").Inc)
}

// signatureProblem says what the sender is told, and whether the connection ends
// with it: not if nothing is wrong with the message.
func signatureProblem(err error) (text, code string, closes bool) {
	switch {
	case errors.Is(err, umf.ErrUnsigned):
		return "Not a signed UMF message", codeUnsigned, true
	case errors.Is(err, access.ErrStale):
		return "Signed UMF message is outside the time window", codeSignature, true
	case errors.Is(err, access.ErrReplay):
		return "Signed UMF message was sent before", codeSignature, true
	case errors.Is(err, access.ErrReplayFull):
		return "Too many signed UMF messages within the time window", codeOverload, false
	}
	return "Invalid signed UMF message", codeSignature, true
}
