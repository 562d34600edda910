//go:build race

package wire

// raceEnabled makes borrowed buffers useless once they are returned: code that
// keeps one without copying reads this pattern, and a test fails.
const raceEnabled = true

func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
