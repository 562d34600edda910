package wire

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// alarm is an expirer that notes when it ran.
type alarm struct {
	timer timer
	w     *wheel
	at    int64 // tick at which it ran, 0: it did not
}

func (a *alarm) expire() { a.at = a.w.now }

// TestWheel compares the wheel with the rule it implements: each timer runs
// once, at its tick, however the clock advances.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &wheel{now: rapid.Int64Range(0, 1<<40).Draw(t, "now")}
		var alarms []*alarm
		due := map[*alarm]int64{}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				a := &alarm{w: w}
				a.timer.owner = a
				bits := rapid.IntRange(0, 26).Draw(t, "bits")
				at := w.now + rapid.Int64Range(0, 1<<bits).Draw(t, "delay")
				w.start(&a.timer, at)
				alarms, due[a] = append(alarms, a), max(at, w.now+1)
			},
			"again": func(t *rapid.T) {
				if len(alarms) == 0 {
					t.Skip()
				}
				a := rapid.SampledFrom(alarms).Draw(t, "which")
				at := w.now + rapid.Int64Range(0, 1<<14).Draw(t, "delay")
				w.start(&a.timer, at)
				a.at, due[a] = 0, max(at, w.now+1)
			},
			"stop": func(t *rapid.T) {
				if len(alarms) == 0 {
					t.Skip()
				}
				a := rapid.SampledFrom(alarms).Draw(t, "which")
				w.stop(&a.timer)
				if a.at == 0 {
					delete(due, a)
				}
			},
			"advance": func(t *rapid.T) {
				bits := rapid.IntRange(0, 20).Draw(t, "bits")
				to := w.now + rapid.Int64Range(0, 1<<bits).Draw(t, "ticks")
				budget := rapid.IntRange(1, 10).Draw(t, "budget")
				for quiet := w.next(); quiet <= to; quiet = w.next() {
					w.advance(quiet, 1<<20)
				}
				for !w.advance(to, budget) {
				}
			},
			"": func(t *rapid.T) {
				for _, a := range alarms {
					at, started := due[a]
					switch {
					case !started || at > w.now:
						if a.at != 0 || a.timer.running() != started {
							t.Fatalf("at %d: ran at %d, due %d %v", w.now, a.at, at, started)
						}
					case a.at != at || a.timer.running():
						t.Fatalf("at %d: ran at %d, due %d", w.now, a.at, at)
					}
				}
			},
		})
	})
}

// TestWheelNext: the wheel may be left alone until the tick it names.
func TestWheelNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &wheel{now: rapid.Int64Range(0, 1<<20).Draw(t, "now")}
		a := &alarm{w: w}
		a.timer.owner = a
		due := w.now + rapid.Int64Range(1, 1<<13).Draw(t, "delay")
		w.start(&a.timer, due)
		for a.at == 0 {
			n := w.next()
			if n <= w.now || n > due {
				t.Fatalf("at %d: next is %d, due %d", w.now, n, due)
			}
			w.advance(n, 1)
		}
		if a.at != due {
			t.Fatalf("ran at %d, due %d", a.at, due)
		}
	})
}

func TestTimers(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		l := s.Loops()[0]
		ran := make(chan string, 8)
		var again Timer
		again.F = func() { ran <- "again" }
		if !l.Post(func() {
			never := l.AfterFunc(time.Hour, func() { ran <- "never" })
			if !never.Stop() || never.Stop() {
				t.Error("Stop")
			}
			l.StartTimer(&again, time.Hour)
			l.StartTimer(&again, 60*time.Millisecond)
			l.AfterFunc(20*time.Millisecond, func() { ran <- "first" })
		}) {
			t.Fatal("Post")
		}
		for _, want := range []string{"first", "again"} {
			if got := receive(t, ran, "no timer"); got != want {
				t.Errorf("%q ran, want %q", got, want)
			}
		}
	})
}

func BenchmarkWheel(b *testing.B) {
	w := &wheel{}
	alarms := make([]alarm, 1000)
	for i := range alarms {
		alarms[i].w = w
		alarms[i].timer.owner = &alarms[i]
	}
	for i := 0; b.Loop(); i++ {
		w.start(&alarms[i%1000].timer, w.now+int64(i%5000))
		if i%1000 == 0 {
			w.advance(w.now+1, 1<<20)
		}
	}
}

// TestTicksAfter: whole ticks, rounded up, at least one, and no end of durations is
// past.
func TestTicksAfter(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-1: 1, 0: 1, 1: 1, tick: 1, tick + 1: 2, 2 * tick: 2, 1<<63 - 1: 1 << 40, 1<<63 - 1 - tick: 1<<40 - 1,
	} {
		if got := ticksAfter(d); got != want {
			t.Errorf("%d: %d ticks, want %d", d, got, want)
		}
	}
}
