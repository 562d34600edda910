package wire

import "time"

// parker is the poller of loops without descriptors of their own, which get all
// their work through the inbox.
type parker struct {
	// Any goroutine sends; the loop receives. Never closed.
	bell chan struct{}

	// Owned by the loop.
	timer *time.Timer
	armed time.Time
}

func newParker() *parker {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &parker{bell: make(chan struct{}, 1), timer: t}
}

func (p *parker) arm(due, now time.Time) {
	if p.armed.After(now) && !due.Before(p.armed) {
		return
	}
	p.armed = due
	p.timer.Reset(due.Sub(now))
}

func (p *parker) wait(block bool) error {
	if !block {
		return nil
	}
	select {
	case <-p.bell:
	case <-p.timer.C:
		p.armed = time.Time{}
	}
	return nil
}

func (p *parker) wake() {
	select {
	case p.bell <- struct{}{}:
	default: // it rings already
	}
}

func (p *parker) dispatch(*Loop) {}

func (p *parker) close() error {
	p.timer.Stop()
	return nil
}
