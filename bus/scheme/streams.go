package scheme

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Stream, bucket and consumer names on the server.
const (
	// OutStreamPrefix is followed by the number of the partition.
	OutStreamPrefix = "UMF_OUT_"
	// WorkStream holds the services' work queues.
	WorkStream = "UMF_WORK"
	// SessionBucket is the key-value bucket of the session directory.
	SessionBucket = "UMF_SESSIONS"

	// SessionStream is the stream under the bucket, SessionKeyPrefix what its
	// subjects begin with.
	SessionStream    = "KV_" + SessionBucket
	SessionKeyPrefix = "$KV." + SessionBucket + "."
	// ExpiryStream tells when sessions expire.
	ExpiryStream = "UMF_EXPIRY"
)

// MaxStreams is the number of first characters of a session id, so of
// partitions that mailboxes can be spread over.
const MaxStreams = len(sidAlphabet)

// ValidStreams reports whether mailboxes can be partitioned over n streams:
// 1, 2, 4, 8, 16 or 32.
func ValidStreams(n int) bool { return n >= 1 && n <= MaxStreams && n&(n-1) == 0 }

// StreamIndexOf is the number of the partition, of n that ValidStreams takes,
// that holds a session's mailbox. The partition is decided by the first character
// of the id alone: each partition owns 32/n neighbouring characters of the
// alphabet.
func StreamIndexOf(sid SID, n int) int {
	return strings.IndexByte(sidAlphabet, sid[0]) * n / MaxStreams
}

// StreamOf is the name of the stream, of n, that holds a session's mailbox.
func StreamOf(sid SID, n int) string { return OutStream(StreamIndexOf(sid, n)) }

// OutStream is the name of the stream of partition i.
func OutStream(i int) string { return OutStreamPrefix + strconv.Itoa(i) }

// StreamNames are the streams of a store with this number of partitions.
func StreamNames(streams int) []string {
	var names []string
	for i := range streams {
		names = append(names, OutStream(i))
	}
	return append(names, SessionStream, ExpiryStream, WorkStream)
}

// PartitionChars is the part of the alphabet that partition i of n owns.
func PartitionChars(i, n int) string {
	w := MaxStreams / n
	return sidAlphabet[i*w : (i+1)*w]
}

// SessionKey is the subject of a session's entry in the directory.
func SessionKey(sid SID) string { return SessionKeyPrefix + string(sid) }

// ProbeKey is the subject in the directory of a node's own, by which it learns
// whether an answer is recent. Keys that begin with "_" are no sessions.
func ProbeKey(node NodeID) string { return SessionKeyPrefix + "_probe-" + string(node) }

// OnceKey is the subject in the directory of a key that says that something was seen,
// for name, which has letters, digits, "-" and "_".
func OnceKey(name string) string { return SessionKeyPrefix + "_seen-" + name }

// TurnKey is the subject in the directory of a turn: who has written there last may do
// what only one may do at a time. name is as for [OnceKey].
func TurnKey(name string) string { return SessionKeyPrefix + "_turn-" + name }

// BackKey is the subject in the directory under which nodes note that the log of a mailbox
// stream has gone back.
func BackKey(partition int) string { return SessionKeyPrefix + "_back-" + strconv.Itoa(partition) }

// KeysKey is the subject in the directory under which nodes keep the keys of tokens
// that they have read from an address.
func KeysKey(address string) string {
	sum := sha256.Sum256([]byte(address))
	return SessionKeyPrefix + "_keys-" + hex.EncodeToString(sum[:16])
}
