package access

import (
	"crypto/sha256"

	"hydrant/edge/internal/config"
)

// HTTPKeys finds who has a key. Immutable, and safe for concurrent use.
type HTTPKeys map[[sha256.Size]byte]*config.HTTPKey

// NewHTTPKeys returns the table of keys.
func NewHTTPKeys(list []config.HTTPKey) HTTPKeys {
	keys := make(HTTPKeys, len(list))
	for i := range list {
		keys[sha256.Sum256([]byte(list[i].Key))] = &list[i]
	}
	return keys
}

// Find finds the key that a field Authorization carries; nil: there is none. What is
// compared are hashes, so that the time it takes tells nothing of a key.
func (k HTTPKeys) Find(authorization string) *config.HTTPKey {
	key, ok := bearer(authorization)
	if !ok {
		return nil
	}
	return k[sha256.Sum256([]byte(key))]
}
