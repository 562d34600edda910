package bus

import (
	"slices"
	"sync"
	"testing"
)

// TestLanesKeepTheOrderOfAKey: jobs of one key run in order, one at a time,
// however many workers there are.
func TestLanesKeepTheOrderOfAKey(t *testing.T) {
	const keys, each = 7, 200
	p := newLanes(keys * each)
	var mu sync.Mutex
	got := map[string][]int{}
	running := map[string]bool{}
	for n := range each {
		for k := range keys {
			key := string(rune('a' + k))
			if !p.offer(key, func() {
				mu.Lock()
				if running[key] {
					t.Errorf("two jobs of %s at the same time", key)
				}
				running[key] = true
				mu.Unlock()
				mu.Lock()
				got[key] = append(got[key], n)
				running[key] = false
				mu.Unlock()
			}) {
				t.Fatal("refused below the bound")
			}
		}
	}
	if p.offer("", func() {}) {
		t.Error("taken beyond the bound")
	}
	p.start(8)
	p.close()
	<-p.idle
	for key, list := range got {
		if len(list) != each || !slices.IsSorted(list) {
			t.Errorf("%s: %d jobs, sorted %v", key, len(list), slices.IsSorted(list))
		}
	}
	if p.waiting() != 0 || len(p.behind) != 0 {
		t.Errorf("%d jobs and %d keys left", p.waiting(), len(p.behind))
	}
}

// TestLanesRunKeysSideBySide: a job that waits holds up its own key only.
func TestLanesRunKeysSideBySide(t *testing.T) {
	p := newLanes(10)
	p.start(2)
	release, passed := make(chan struct{}), make(chan struct{})
	p.offer("slow", func() { <-release })
	p.offer("slow", func() {})
	p.offer("quick", func() { close(passed) })
	<-passed
	close(release)
	p.close()
	<-p.idle
}
