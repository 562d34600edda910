package edge

import (
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/stats"
)

// newSignatures returns the check of signatures that the settings ask for; nil:
// none.
func newSignatures(cfg *config.Config, m *stats.Metrics) *access.Signatures {
	if cfg.Signature != config.SignatureRequired {
		return nil
	}
	return access.NewSignatures(cfg.SignatureKeys, cfg.SignatureWindow, m.Dropped.Counting(stats.DropReplayTable))
}
