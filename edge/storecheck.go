package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// raiseAfter is for how long no node of an older version must have been seen before
// entries are written in a form that it does not know. One that drains is not seen, and
// has sessions to park.
const raiseAfter = 5 * time.Minute

// storeCheck looks whether the store holds what the node needs, mends what it may,
// and warns of what does no harm to readiness. Safe for concurrent use.
type storeCheck struct {
	// Immutable.
	node *Node

	// Guarded by mu.
	mu    sync.Mutex
	alone time.Time // since when no node of an older version has been seen; zero: one was
}

// check returns what keeps the node from serving. What is missing is made again:
// a stream that was deleted, or all of them after NATS has come back empty.
func (c *storeCheck) check(ctx context.Context) error {
	l := c.node.nats.link.Load()
	err := l.store.CheckContract(ctx)
	if err != nil && l.store.Repair(ctx) == nil {
		err = l.store.CheckContract(ctx)
	}
	var warnings []string
	for _, w := range l.store.Warnings() {
		warnings = append(warnings, w.What+": "+w.Detail+" ("+w.Fix+")")
	}
	if err == nil {
		warnings = append(warnings, c.queues(ctx, l)...)
	}
	var broken *store.ContractError
	if errors.As(err, &broken) && broken.Partial { // the sessions of other streams are served
		warnings, err = append(warnings, broken.Error()), nil
	}
	outdated, derr := l.discovery.Outdated(ctx)
	if derr != nil {
		c.node.log.Debug("nodes are not known", "error", derr)
	}
	for _, old := range outdated {
		if scheme.FormOf(old.Metadata) < l.store.Form() {
			warnings = append(warnings, "node "+old.ID+" is of an older version and cannot serve the sessions of this one: stop it")
		}
	}
	if err == nil && l.store.Form() < scheme.Form && c.onlyNew(outdated, derr) {
		if err := l.store.Raise(ctx); err != nil {
			warnings = append(warnings, fmt.Sprintf("sessions are kept in form %d of %d, as for older nodes, which have left: run `hydrant setup` (%v)",
				l.store.Form(), scheme.Form, err))
		}
	}
	c.node.ready.warn(warnings)
	return err
}

// queues registers work queues, and has the stream take no other work, unless nodes of an
// older version need it to. It returns what is not as it should be.
func (c *storeCheck) queues(ctx context.Context, l *uplink) (warnings []string) {
	if err := l.store.Queues().Keep(ctx, services(c.node.cfg.QueueServices)); err != nil {
		warnings = append(warnings, err.Error())
	}
	older, err := l.discovery.ExpectAnyWork(ctx)
	if err == nil {
		err = l.store.Queues().Fit(ctx, len(older) == 0)
	}
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	return warnings
}

// onlyNew reports whether no node of an older version has been seen for long enough.
func (c *storeCheck) onlyNew(outdated []discovery.Instance, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil || len(outdated) > 0:
		c.alone = time.Time{}
	case c.alone.IsZero():
		c.alone = time.Now()
	default:
		return time.Since(c.alone) >= raiseAfter
	}
	return false
}
