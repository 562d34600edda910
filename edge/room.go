package edge

import (
	"context"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// How often a node looks how full the store is. The directory is what must not get
// full: not even an entry that is there can be replaced then.
const (
	roomEvery = 2 * time.Second
	roomTime  = 10 * time.Second
	roomAll   = 15 // every how many looks at all else

	// From sessionsFull on there are no fresh sessions, until it is less than
	// sessionsRoom: what is left is for those that there are.
	sessionsFull = 0.80
	sessionsRoom = 0.75
)

// watchRoom looks how full the store is until the node stops.
func (n *Node) watchRoom() {
	for i := 0; ; i++ {
		n.lookAtRoom(i%roomAll == 0)
		if pause(n.ctx, roomEvery) != nil {
			return
		}
	}
}

// lookAtRoom looks once. What is not answered is asked again soon.
func (n *Node) lookAtRoom(all bool) {
	ctx, cancel := context.WithTimeout(n.ctx, roomTime)
	defer cancel()
	l := n.nats.link.Load()
	sessions, err := l.directory.Usage(ctx)
	if err != nil {
		n.log.Debug("not known how full the directory is", "error", err)
		return
	}
	n.show(stats.StoreSessions, sessions)
	n.judgeRoom(sessions.Share())
	if !all {
		return
	}
	mailboxes, work, err := l.store.Usage(ctx)
	if err != nil {
		n.log.Debug("not known how full the store is", "error", err)
		return
	}
	n.show(stats.StoreMailboxes, mailboxes)
	n.show(stats.StoreWork, work)
}

func (n *Node) show(part stats.StorePart, u store.Usage) {
	n.metrics.StoreBytes.Set(part, float64(u.Bytes))
	n.metrics.StoreLimit.Set(part, float64(u.Limit))
	n.metrics.StoreReach.Set(part, u.Reach.Seconds())
	n.metrics.StoreAge.Set(part, u.Age.Seconds())
}

// judgeRoom decides whether fresh sessions are opened.
func (n *Node) judgeRoom(share float64) {
	switch full := n.full.Load(); {
	case !full && share >= sessionsFull:
		n.log.Warn("the directory of sessions is nearly full: no fresh ones; raise EDGE_STORE_BYTES, or lower EDGE_SESSION_TTL", "share", share)
		n.full.Store(true)
	case full && share < sessionsRoom:
		n.log.Info("room for fresh sessions again", "share", share)
		n.full.Store(false)
	}
}
