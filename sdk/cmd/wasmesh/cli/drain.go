package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func newDrain(dataDir *string) *cobra.Command {
	timeout := time.Duration(0)
	command := &cobra.Command{
		Use:   "drain HOST [--timeout DURATION]",
		Short: "Have a host hand its models over to others and leave",
		Long: `drain has the copies in use on a host loaded elsewhere while it serves on; then the host takes no more requests,
finishes those that it has, and ends. Under ` + "`wasmesh up`" + ` it is started again, as a new host without copies. Each line says
how far it is. An interrupt ends the lines, not the drain.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which host is to leave: `wasmesh drain HOST`; `wasmesh get hosts` lists them")
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if timeout < 0 {
				return fmt.Errorf("--timeout %s: must not be negative; 0 is the host's own setting", timeout)
			}
			client, err := dial(*dataDir)
			if err != nil {
				return err
			}
			defer client.close()
			d := &drain{client: client, host: args[0], timeout: timeout, out: command.OutOrStdout()}
			return d.run(command.Context())
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", 0, "how long handing over may take; 0 is the host's own setting")
	return command
}

// drain is one `wasmesh drain`.
type drain struct {
	client  *client
	host    string
	timeout time.Duration
	out     io.Writer
	// said is the last line, which is not repeated.
	said string
}

func (d *drain) run(ctx context.Context) error {
	started := time.Now()
	heard := false
	var left *syncv1.Draining
	follow := func() error {
		stream, err := d.client.DrainHost(ctx, &adminv1.DrainHostRequest{HostId: d.host, TimeoutMs: d.timeout.Milliseconds()})
		for err == nil {
			var answer *adminv1.DrainHostResponse
			if answer, err = stream.Recv(); err != nil {
				return err
			}
			heard = true
			if left = answer.GetDraining(); answer.GetLeft() {
				return nil
			}
			d.say(drainLine(left))
		}
		return err
	}
	var failed error
	err := d.client.patiently(ctx, func() error {
		failed = follow()
		if heard {
			return nil // Asked again, it could be the next host of that name that leaves.
		}
		return failed
	})
	if failed == nil {
		failed = err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("host %s goes on draining; `wasmesh get hosts` shows how far it is", d.host)
	}
	if failed != nil {
		return d.client.explain(failed)
	}
	d.say(leftLine(left, time.Since(started)))
	return nil
}

func (d *drain) say(line string) {
	if line != d.said {
		fmt.Fprintf(d.out, "host %s %s\n", d.host, line)
		d.said = line
	}
}

// drainLine says how far a host is.
func drainLine(draining *syncv1.Draining) string {
	if draining.GetClosing() {
		return "takes no more requests, and finishes those that it has"
	}
	line := fmt.Sprintf("hands over: %d of %d copies are elsewhere", draining.GetMoved(), draining.GetCopies())
	if n := draining.GetStranded(); n > 0 {
		line += fmt.Sprintf(", for %d nobody has room", n)
	}
	return line
}

// leftLine says what a host left behind.
func leftLine(draining *syncv1.Draining, took time.Duration) string {
	line := fmt.Sprintf("has left after %s", took.Round(100*time.Millisecond))
	if behind := int64(draining.GetCopies()) - int64(draining.GetMoved()); behind > 0 {
		line += fmt.Sprintf("; %d of the %d copies that were in use on it had not been loaded elsewhere: the next request for each loads it",
			behind, draining.GetCopies())
	}
	return line
}
