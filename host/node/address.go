package node

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
)

// advertised is how others reach a listener: at the host's own address when that was given; else as it is bound; else, for
// one that is bound to all addresses, at the first address of this machine that is not its loopback.
func advertised(listener net.Addr, own string) string {
	host, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return listener.String()
	}
	if own != "" {
		return net.JoinHostPort(own, port)
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(cmp.Or(ownAddress(), "127.0.0.1"), port)
}

// ownAddress is empty for a machine without a network.
func ownAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var six string
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if four := network.IP.To4(); four != nil {
			return four.String()
		}
		six = cmp.Or(six, network.IP.String())
	}
	return six
}

// readMeshKey reads the key of the mesh, 64 hexadecimal digits.
func readMeshKey(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mesh key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, fmt.Errorf("read mesh key: %s has to hold 64 hexadecimal digits and nothing else", path)
	}
	return key, nil
}

// gossipAdvertised is how others reach gossip that is bound to this address: empty when it is as it is bound. A port of 0
// stands for the one that is bound.
func gossipAdvertised(bind, own string) (string, error) {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return "", fmt.Errorf("--gossip-address: %w", err)
	}
	if own != "" {
		return net.JoinHostPort(own, port), nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return "", nil
	}
	return net.JoinHostPort(cmp.Or(ownAddress(), "127.0.0.1"), port), nil
}
