package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// isolated is the variable by which a process knows that it runs in namespaces
// of its own.
const isolated = "HYDRANT_ISOLATED"

// Isolate runs this program again, with the same arguments, in a network and a
// mount namespace of its own, and returns the exit status of that run. For the
// second run itself ours is true: it has everything to itself, and goes on.
//
// Whatever is made in there (namespaces, addresses, mounts) ends with the process,
// also if that is killed. The error says why it cannot be done here: it takes
// Linux, root, ip (iproute2) and nft (nftables).
func Isolate() (ours bool, status int, err error) {
	if os.Getenv(isolated) != "" {
		return true, 0, settle()
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false, 0, fmt.Errorf("%w: %w: apt-get install iproute2 nftables", ErrNoNamespaces, err)
		}
	}
	if os.Geteuid() != 0 {
		return false, 0, fmt.Errorf("%w: not root", ErrNoNamespaces)
	}
	flags := uintptr(syscall.CLONE_NEWNET | syscall.CLONE_NEWNS)
	try := exec.Command("true")
	try.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	if err := try.Run(); err != nil {
		return false, 0, fmt.Errorf("%w: %w", ErrNoNamespaces, err)
	}
	self, err := os.Executable()
	if err != nil {
		return false, 0, err
	}
	// Ctrl-C reaches the second run as well: it is in the same process group.
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	forward := hand(cmd)
	err = cmd.Run()
	forward()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return false, max(exit.ExitCode(), 1), nil
	case err != nil:
		return false, 0, err
	}
	return false, 0, nil
}

// settle makes the namespaces a place to live in: loopback, and a directory of
// named namespaces that nobody else sees.
func settle() error {
	if err := command("ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := os.MkdirAll(namespaces, 0o755); err != nil {
		return err
	}
	return Mount(namespaces, 1<<20)
}

// namespaces is where ip(8) keeps those with a name.
const namespaces = "/run/netns"

// Mount puts an empty file system of so many bytes, in memory, over a directory.
// Call it in a mount namespace of one's own ([Isolate]): it ends with that.
func Mount(dir string, bytes int64) error {
	return syscall.Mount("hydrant", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", bytes))
}

// Unmount takes it away again.
func Unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }

// FreeBytes is how much room is left in the file system of a directory.
func FreeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// command runs a program that says nothing if all is well.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("harness: %s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
