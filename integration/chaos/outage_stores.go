package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// restoreStores copies the stores of all servers, and puts the copies in their
// place when something has been stored since.
func (s *schedule) restoreStores(f *fault) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	defer cancel()
	dir, err := os.MkdirTemp(s.run.dir, "copy-")
	if err != nil {
		return err
	}
	f.whom = "all"
	if err := s.outside(ctx, history.Copied, func(server *harness.NATSServer) error { return server.Keep(dir) }); err != nil {
		return err
	}
	copied, err := s.run.positions(ctx)
	if err != nil {
		return err
	}
	s.bear(s.batch(), nil, nil)
	s.crowdTo(s.run.nodes, 1+s.chance.IntN(6), crowdPause)
	var last uint64
	err = harness.Until(ctx, func() error {
		if last, err = s.run.positions(ctx); err == nil && last == copied {
			err = errors.New("chaos: nothing is stored")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.outside(ctx, history.Restored, func(server *harness.NATSServer) error { return server.Restore(dir) }); err != nil {
		return err
	}
	return harness.Until(ctx, func() error {
		now, err := s.run.positions(ctx)
		if err == nil && now < last {
			f.bit(fmt.Sprintf("position %d, and %d before", now, last))
		}
		return err
	})
}

// outside does something with the store of each server while none runs, and writes
// that down before they run again.
func (s *schedule) outside(ctx context.Context, kind history.Kind, do func(*harness.NATSServer) error) error {
	servers := s.run.servers.Servers
	for _, server := range servers {
		server.Kill()
	}
	var errs []error
	for _, server := range servers {
		errs = append(errs, do(server))
	}
	s.run.h.Add(history.Event{Kind: kind})
	for _, server := range servers {
		errs = append(errs, server.Start())
	}
	return errors.Join(append(errs, s.run.servers.WaitServing(ctx))...)
}

// rotate gives nodes and servers another password.
func (s *schedule) rotate(f *fault) error {
	before, err := s.run.secret.change(fmt.Sprintf("another-%d", s.chance.Uint64()))
	if err != nil {
		return err
	}
	f.whom = natsUser
	for _, server := range s.run.servers.Servers {
		if err := server.Rotate(s.run.secret.get()); err != nil {
			return err
		}
	}
	for _, server := range s.run.servers.Servers {
		err := sometime(func() error {
			nc, err := nats.Connect("nats://"+server.Addr, nats.UserInfo(natsUser, before))
			if err == nil {
				nc.Close()
				return fmt.Errorf("chaos: %s takes the old password", server.ServerName)
			}
			if !errors.Is(err, nats.ErrAuthorization) {
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	f.bit("the old password is refused")
	return nil
}

// noSpace is what a server says whose disk is full.
var noSpace = regexp.MustCompile(`no space left|insufficient resources|resource limits exceeded|out of space`)

// fillDisk fills the disk of a server. nats-server gives a stream up whose file
// could not be written, so it is started anew when there is room.
func (s *schedule) fillDisk(f *fault) error {
	server := s.run.servers.Servers[s.chance.IntN(len(s.run.servers.Servers))]
	f.whom = server.ServerName
	mark := server.Log.Mark()
	free, err := server.Fill()
	if err != nil {
		return err
	}
	err = sometime(func() error {
		left, err := harness.FreeBytes(server.Store)
		if err != nil {
			return err
		}
		if text := server.Log.Since(mark); !noSpace.Match(text) {
			return fmt.Errorf("chaos: %d bytes are left, and %s does not complain", left, server.ServerName)
		}
		f.bit("the server has no space left")
		return nil
	})
	s.hold(500*time.Millisecond, 3*time.Second)
	return errors.Join(err, free(), s.startAnew(server))
}

// startAnew ends a server in an orderly way and starts it again. One whose store
// cannot be read any more, as happens to nats-server after a full disk, gets an
// empty one where its peers have everything.
func (s *schedule) startAnew(server *harness.NATSServer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	if err := server.Terminate(ctx); err != nil {
		server.Kill()
	}
	if err := server.Start(); err != nil {
		return err
	}
	err := s.run.servers.WaitServing(ctx)
	if !errors.Is(err, harness.ErrExited) || len(s.run.servers.Servers) == 1 {
		return err
	}
	s.run.cfg.Log("%s cannot read its store and begins with an empty one: %v", server.ServerName, err)
	if err := errors.Join(server.Empty(), server.Start()); err != nil {
		return err
	}
	return s.run.servers.WaitServing(ctx)
}
