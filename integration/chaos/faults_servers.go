package chaos

import (
	"context"
	"time"

	"hydrant/integration/harness"
)

// syncs writes down whether the servers sync every write.
func (s *schedule) syncs() error {
	if !s.run.cfg.Sync {
		return nil
	}
	f := s.note("sync always", "all")
	for _, server := range s.run.servers.Servers {
		v, err := server.Varz()
		if err != nil {
			return err
		}
		if !v.JetStream.Config.SyncAlways {
			f.missed(server.ServerName + " does not")
		}
	}
	f.bit("the servers say so")
	return nil
}

// server is a NATS server that may be harmed: one at a time, so that three
// keep their quorum.
func (s *schedule) server() *harness.NATSServer {
	chosen := s.run.servers.Servers[s.random.IntN(len(s.run.servers.Servers))]
	select {
	case <-s.servers:
		return chosen
	default:
		return nil
	}
}

func (s *schedule) killServer() {
	away := s.between(100*time.Millisecond, 2*time.Second)
	server := s.server()
	if server == nil {
		return
	}
	s.killAndStart(s.note("kill NATS", server.Name), server, away)
}

// killAndStart kills the server for a while, then gives the token back.
func (s *schedule) killAndStart(f *fault, server *harness.NATSServer, away time.Duration) {
	server.Kill()
	f.bit("the process is gone")
	s.during(away, func() {
		defer func() { s.servers <- struct{}{} }()
		if err := server.Start(); err != nil {
			s.broken(server.Name, err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		_ = s.run.servers.WaitServing(ctx) // heal says so again
	})
}

// stream is one of those that a run depends on.
func (s *schedule) stream() string {
	all := streams
	return all[s.random.IntN(len(all))]
}

// killLeader kills the server that leads a stream.
func (s *schedule) killLeader() {
	away, name := s.between(100*time.Millisecond, 2*time.Second), s.stream()
	if s.server() == nil {
		return
	}
	s.running.Go(func() {
		server := s.leader(name)
		if server == nil {
			s.servers <- struct{}{}
			return
		}
		s.killAndStart(s.note("kill leader", server.Name+" of "+name), server, away)
	})
}

// leader is the server that leads a stream; nil if nobody says.
func (s *schedule) leader(name string) *harness.NATSServer {
	return s.run.server(s.run.leaderBy(s.run.nc, name))
}

// stepDown makes the leader of a stream give up, again and again.
func (s *schedule) stepDown() {
	name, times, pause := s.stream(), 1+s.random.IntN(6), s.between(50*time.Millisecond, 600*time.Millisecond)
	f := s.note("step down", name)
	s.running.Go(func() {
		for i := 0; i < times || !f.over() && i < 100; i++ { // there may be no leader now
			if s.run.stepDown(s.run.nc, name, "") {
				f.bit("a leader gave up")
			}
			nap(context.Background(), pause)
		}
	})
}

// freezeServers freezes all of NATS.
func (s *schedule) freezeServers() {
	d := s.between(300*time.Millisecond, 4*time.Second)
	if s.server() == nil {
		return
	}
	f := s.note("freeze all NATS", "")
	for _, server := range s.run.servers.Servers {
		f.froze(server.Freeze())
	}
	s.during(d, func() {
		for _, server := range s.run.servers.Servers {
			_ = server.Thaw()
		}
		s.servers <- struct{}{}
	})
}

func (s *schedule) freezeServer() {
	d := s.between(300*time.Millisecond, 3*time.Second)
	server := s.server()
	if server == nil {
		return
	}
	f := s.note("freeze NATS", server.Name)
	f.froze(server.Freeze())
	s.during(d, func() {
		_ = server.Thaw()
		s.servers <- struct{}{}
	})
}
