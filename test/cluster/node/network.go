package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// setUpNetwork gives the empty network namespace an address for the node and the settings that forwarding to pods needs.
// A bridge without ports holds the address: not every kernel has the driver of dummy interfaces.
func setUpNetwork(ctx context.Context) error {
	const bridge = "node0"
	address := fmt.Sprintf("%s/%d", Address(), nodeRange.Bits())
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", address, "dev", bridge},
		{"link", "set", bridge, "up"},
		{"route", "add", "default", "via", gateway.String(), "dev", bridge, "onlink"},
	} {
		if err := output(exec.CommandContext(ctx, "ip", arguments...)); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward":              "1",
		"net/ipv4/conf/all/route_localnet": "1",
		// Packets between pods on the bridge pass the filters, too, where addresses of Services are translated.
		"net/bridge/bridge-nf-call-iptables": "1",
	} {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return fmt.Errorf("set %s: %w", strings.ReplaceAll(name, "/", "."), err)
		}
	}
	return nil
}

// output runs a command to its end; its output is the error's when it fails.
func output(command *exec.Cmd) error {
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, bytes.TrimSpace(said))
	}
	return nil
}
