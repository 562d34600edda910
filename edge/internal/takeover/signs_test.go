package takeover

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hydrant/bus/scheme"
)

// TestSigns: nobody listens for a node. It lives where its signs go on, however that
// came, and where nothing tells.
func TestSigns(t *testing.T) {
	for name, test := range map[string]struct {
		ended time.Duration // when the last sign was left, from the question on; signs come every half a second
		err   error
		lives bool
		took  time.Duration // at the most
	}{
		"it lives":             {time.Hour, nil, true, SignEvery + signStep},
		"it died just now":     {0, nil, false, signOld + signStep},
		"it died before":       {-time.Hour, nil, false, 0},
		"no quorum can tell":   {0, errors.New("no quorum"), true, 0},
		"it dies in a moment":  {SignEvery, nil, true, SignEvery + signStep},
		"it died a second ago": {-signOld - 1, nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var asked atomic.Int32
				s := NewSigns(func(context.Context, scheme.NodeID) (uint64, time.Duration, error) {
					asked.Add(1)
					at := min(time.Since(began)/SignEvery*SignEvery, test.ended) // when the last was left
					return uint64(1000 + at/SignEvery), time.Since(began) - at, test.err
				})
				var all sync.WaitGroup
				for range 50 {
					all.Go(func() {
						if s.Lives(t.Context(), testNode) != test.lives {
							t.Errorf("lives: %v", !test.lives)
						}
					})
				}
				all.Wait()
				if took := time.Since(began); took > test.took {
					t.Errorf("it took %v", took)
				}
				if n := asked.Load(); n > 8 {
					t.Errorf("asked %d times", n)
				}
				time.Sleep(signUse)
				synctest.Wait()
				if len(s.looks) != 0 {
					t.Error("answers are kept")
				}
			})
		})
	}
}

// TestNoSigns: a node that has never left one is gone.
func TestNoSigns(t *testing.T) {
	s := NewSigns(func(context.Context, scheme.NodeID) (uint64, time.Duration, error) { return 0, 0, nil })
	if s.Lives(t.Context(), testNode) {
		t.Error("it lives")
	}
}
