package wire

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
)

const (
	// deflateMin is the smallest message that is worth compressing.
	deflateMin = 64
	// inflatedKept bounds a buffer that is kept between messages.
	inflatedKept = 64 << 10
	// maxFinal bounds the final blocks of a message, each of which begins anew.
	maxFinal = 256
)

// deflateTail ends the data of a message: the empty block that its sender left out
// (RFC 7692 §7.2.2), and a final block that gives the reader an end.
var deflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

// inflater compresses and decompresses for all connections of a loop. Without
// context takeover a message needs nothing from the one before, so a connection
// has no state to keep.
type inflater struct {
	src    bytes.Reader
	in     []byte // a message with its tail, or its parts put together
	reader io.ReadCloser
	out    []byte
	packed bytes.Buffer
	part   [1][]byte
	used   bool // since the last trim
}

// inflate returns the decompressed message, valid until the next call. It gives up
// as soon as the message is longer than limit.
func (f *inflater) inflate(p []byte, limit int64) ([]byte, *violation) {
	f.used = true
	f.in = append(append(f.in[:0], p...), deflateTail...)
	f.src.Reset(f.in)
	if f.reader == nil {
		f.reader = flate.NewReader(&f.src)
	} else if err := f.reader.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return nil, errInflate
	}
	f.out = f.out[:0]
	for finals := 0; ; {
		if len(f.out) == cap(f.out) {
			size := min(max(2*int64(cap(f.out)), 4096), limit+1)
			if int64(len(f.out)) >= size {
				return nil, errTooBig
			}
			f.out = append(make([]byte, 0, size), f.out...)
		}
		n, err := f.reader.Read(f.out[len(f.out):cap(f.out)])
		f.out = f.out[:len(f.out)+n]
		switch {
		case int64(len(f.out)) > limit:
			return nil, errTooBig
		case errors.Is(err, io.EOF):
			// A final block may come before the end of a message (RFC 7692 §7.2.3.4),
			// and another stream behind it.
			switch left := f.src.Len(); {
			case left == 0, left == len(deflateTail):
				return f.out, nil
			case left < len(deflateTail), finals == maxFinal:
				return nil, errInflate
			}
			finals++
			if f.reader.(flate.Resetter).Reset(&f.src, nil) != nil {
				return nil, errInflate
			}
		case err != nil:
			return nil, errInflate
		}
	}
}

// deflate compresses the concatenated parts to one part, valid until the next
// call. ok is false if that does not make the message shorter.
func (f *inflater) deflate(parts [][]byte, bits uint8) (_ [][]byte, ok bool) {
	f.used = true
	f.packed.Reset()
	p := parts[0]
	if len(parts) > 1 {
		f.in = f.in[:0]
		for _, q := range parts {
			f.in = append(f.in, q...)
		}
		p = f.in
	}
	size, step := len(p), len(p)
	if bits != 0 {
		// References reach back within one call only. In pieces of the window
		// that the client asked for, none reaches farther.
		step = 1 << bits
	}
	for len(p) > 0 {
		n := min(step, len(p))
		if err := flate.StatelessDeflate(&f.packed, p[:n], false, nil); err != nil {
			return parts, false // impossible: the buffer takes everything
		}
		p = p[n:]
	}
	b := f.packed.Bytes()
	if !bytes.HasSuffix(b, deflateTail[:4]) || len(b)-4 >= size {
		return parts, false
	}
	f.part[0] = b[:len(b)-4] // RFC 7692 §7.2.1
	return f.part[:], true
}

// trim drops large buffers, and all buffers if nothing was compressed since the
// last trim.
func (f *inflater) trim() {
	if f.used {
		f.used = false
		if cap(f.in) > inflatedKept {
			f.in = nil
		}
		if cap(f.out) > inflatedKept {
			f.out = nil
		}
		if f.packed.Cap() > inflatedKept {
			f.packed = bytes.Buffer{}
		}
		return
	}
	if f.reader != nil || f.packed.Cap() > 0 {
		*f = inflater{}
	}
}
