package umf

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// CurrentVersion is the version of UMF that this package writes.
const CurrentVersion = "UMF/1.4.6"

// NewMid returns a new message id: a random UUID (RFC 9562, version 4), which cannot
// be guessed.
func NewMid() string { return string(AppendMid(make([]byte, 0, midLength))) }

const midLength = len("xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx")

// AppendMid appends a new message id to dst.
func AppendMid(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"...)
	mid := dst[n:]
	// Drawn into the end of the text: a buffer of its own would be allocated,
	// because the reader may be any.
	random := mid[midLength-16:]
	rand.Read(random) // never fails
	id := [16]byte(random)
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	hex.Encode(mid[0:8], id[0:4])
	hex.Encode(mid[9:13], id[4:6])
	hex.Encode(mid[14:18], id[6:8])
	hex.Encode(mid[19:23], id[8:10])
	hex.Encode(mid[24:36], id[10:16])
	mid[8], mid[13], mid[18], mid[23] = '-', '-', '-', '-'
	return dst
}

// timestampLayout is the layout of JavaScript's Date.toISOString.
const timestampLayout = "2006-01-02T15:04:05.000Z"

// AppendTimestamp appends t as the timestamp of a message: RFC 3339 in UTC, to
// the millisecond.
func AppendTimestamp(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, timestampLayout)
}
