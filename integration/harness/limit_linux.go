package harness

import "golang.org/x/sys/unix"

// LimitFiles bounds the size of every file that the process writes from now
// on: what is beyond fails, as on a disk that is full (prlimit(2),
// RLIMIT_FSIZE). A negative bound lifts it.
func (p *Process) LimitFiles(bytes int64) error {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: unix.RLIM_INFINITY}
	if bytes < 0 {
		limit.Cur = unix.RLIM_INFINITY
	}
	return unix.Prlimit(p.PID(), unix.RLIMIT_FSIZE, &limit, nil)
}
