package edge

import (
	"context"
	"errors"

	"hydrant/bus/store"
)

// storeCheck looks whether the store holds what the node needs, mends what it may,
// and warns of what does no harm to readiness. Safe for concurrent use.
type storeCheck struct{ node *Node }

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
	var broken *store.ContractError
	if errors.As(err, &broken) && broken.Partial { // the sessions of other streams are served
		warnings, err = append(warnings, broken.Error()), nil
	}
	outdated, derr := l.discovery.Outdated(ctx)
	if derr != nil {
		c.node.log.Debug("nodes are not known", "error", derr)
	}
	for _, old := range outdated {
		warnings = append(warnings, "node "+old.ID+" is of an older version and cannot serve the sessions of this one: stop it")
	}
	c.node.ready.warn(warnings)
	return err
}
