package harness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// ResidentBytes is the memory of a process as Linux sees it (VmRSS of
// proc(5)).
func ResidentBytes(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("harness: no VmRSS of process %d", pid)
}

// Descriptors is how many files and sockets a process has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// Established are the local ports of the TCP connections to an IPv4 address that a
// process's network namespace has (tcp of proc(5)). The other end may hold some to be
// alive for minutes that are not.
func Established(pid int, addr string) (ports []string, err error) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return nil, err
	}
	remote, err := kernelForm(addr)
	if err != nil {
		return nil, err
	}
	const established = "01"
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[2] == remote && fields[3] == established {
			_, port, _ := strings.Cut(fields[1], ":")
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// kernelForm is an address as the kernel prints it: the number of the machine's own
// byte order in hexadecimal, and the port.
func kernelForm(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	ip := net.ParseIP(host).To4()
	number, err := strconv.ParseUint(port, 10, 16)
	if ip == nil || err != nil {
		return "", fmt.Errorf("harness: %s is no IPv4 address with a port", addr)
	}
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip), number), nil
}
