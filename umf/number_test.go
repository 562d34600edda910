package umf

import (
	"math"
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	tests := map[string]time.Duration{ // 0 means not ok
		`300`: 300 * time.Second, `"300"`: 300 * time.Second, `1.5`: 1500 * time.Millisecond, `"1e3"`: 1000 * time.Second,
		`1e-9`: 1, `1e400`: math.MaxInt64, `"99999999999999999999"`: math.MaxInt64,
		`0`: 0, `0.0`: 0, `"0"`: 0, `1e-10`: 0, `-1`: 0, `"-1"`: 0, `""`: 0, `"5m"`: 0, `"5 "`: 0, `" 5"`: 0, `"+5"`: 0, `"05"`: 0,
		`"5."`: 0, `"\u0035"`: 0, `null`: 0, `true`: 0, `{}`: 0, `[5]`: 0, ``: 0,
	}
	for raw, want := range tests {
		got, ok := Seconds([]byte(raw))
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%s: %v, %v", raw, got, ok)
		}
	}
}
