package edge

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
)

// newToken returns a resume secret of 256 random bits.
func newToken() string {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// hashToken returns the part of a token that the directory keeps.
func hashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// tokenMatches compares in constant time. A session without a hash takes no
// token.
func tokenMatches(token string, hash []byte) bool {
	want := hashToken(token)
	return len(hash) > 0 && subtle.ConstantTimeCompare(want[:], hash) == 1
}

func randomUint64() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return binary.LittleEndian.Uint64(b[:])
}
