package launcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// watchRetry keeps a controller that breaks every watch from being asked without pause; one that is being started again
// is waited for by the connection.
const watchRetry = 200 * time.Millisecond

// followPlan applies each plan of the controller, across its restarts, until ctx ends, which is no error.
func (l *launcher) followPlan(ctx context.Context) error {
	conn, err := l.paths.DialAdmin()
	if err != nil {
		return err
	}
	defer conn.Close()
	client := adminv1.NewAdminServiceClient(conn)
	said := ""
	for ctx.Err() == nil {
		err := l.watchPlan(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			return fatal.error
		}
		// Unavailable is a controller that ended, which its supervision reports.
		if status.Code(err) != codes.Unavailable && err.Error() != said {
			said = err.Error()
			l.progress("controller: %s", said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
	return nil
}

// fatalError ends the mesh.
type fatalError struct{ error }

// watchPlan follows one stream to its end and answers why it ended, never nil.
func (l *launcher) watchPlan(ctx context.Context, client adminv1.AdminServiceClient) error {
	stream, err := client.WatchPlan(ctx, &adminv1.WatchPlanRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		plan, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := l.apply(ctx, plan.GetRuntimes()); err != nil {
			return fatalError{err}
		}
		if !l.idleReported && !slices.ContainsFunc(plan.GetRuntimes(), (*adminv1.RuntimePlan).GetNeeded) {
			l.idleReported = l.reportIdle(ctx, client)
		}
	}
}

// apply starts what the plan needs and is not running, then replaces what is running by another plan. A runtime that
// no model needs any more keeps running until the mesh stops: its models are unloaded, and coming back is then free. A
// runtime that cannot run here is reported and leaves the others alone; it is an error when nothing else runs.
func (l *launcher) apply(ctx context.Context, plan []*adminv1.RuntimePlan) error {
	faults := make(map[string]string)
	var changed []replacement
	for _, want := range plan {
		if !want.GetNeeded() {
			continue
		}
		more, err := l.start(want)
		changed = append(changed, more...)
		if err != nil {
			faults[want.GetNamespace()+"/"+want.GetName()] = fmt.Sprintf("ServingRuntime %s: %v", want.GetName(), err)
		}
	}
	var news []string
	for _, key := range slices.Sorted(maps.Keys(faults)) {
		if faults[key] != l.faults[key] {
			news = append(news, faults[key])
		}
	}
	if len(l.members) == 0 && len(news) > 0 {
		return errors.New(strings.Join(news, "\n"))
	}
	for _, fault := range news {
		l.progress("%s", fault)
	}
	l.faults = faults
	return l.replace(ctx, changed)
}

// start starts the missing members of a ServingRuntime and answers those that run by another plan.
func (l *launcher) start(plan *adminv1.RuntimePlan) (changed []replacement, err error) {
	for k := range l.config.HostsPerRuntime {
		key := fmt.Sprintf("%s/%s/%d", plan.GetNamespace(), plan.GetName(), k)
		running := l.members[key]
		if running != nil && sameProcesses(running.plan, plan) {
			continue
		}
		specs, err := l.specs(key, plan, k)
		if err != nil {
			return changed, err
		}
		if running != nil {
			changed = append(changed, replacement{key: key, plan: plan, specs: specs})
			continue
		}
		l.members[key] = l.startMember(plan, specs)
	}
	return changed, nil
}

// sameProcesses reports whether both plans lead to the same processes: how many there are is said on the command line.
func sameProcesses(a, b *adminv1.RuntimePlan) bool {
	plain := func(plan *adminv1.RuntimePlan) *adminv1.RuntimePlan {
		plan = proto.CloneOf(plan)
		plan.Needed, plan.Replicas = false, 0
		return plan
	}
	return proto.Equal(plain(a), plain(b))
}

// replacement is a running member that a changed plan wants otherwise.
type replacement struct {
	key   string
	plan  *adminv1.RuntimePlan
	specs memberSpecs
}

// replace goes through them one at a time, so that other hosts of the runtime serve meanwhile. When ctx ends it leaves
// off at once, whatever is under way: the order of stopping takes over, and nothing new starts.
func (l *launcher) replace(ctx context.Context, changed []replacement) error {
	for _, c := range changed {
		l.progress("%s: its ServingRuntime changed; starting it again", c.specs.host.Name)
		if err := l.members[c.key].stop(ctx); err != nil {
			return err
		}
		l.members[c.key] = l.startMember(c.plan, c.specs)
	}
	return nil
}
