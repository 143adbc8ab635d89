package launcher

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
)

// The test binary is also every program of the mesh, under links with their names. Each says on the stage's socket that
// it has started, and, when told to end, asks there for leave.
const (
	stageEnv = "LAUNCHER_TEST_STAGE"
	planEnv  = "LAUNCHER_TEST_PLAN"
	// objectEnv is the only InferenceService that the controller knows; empty for none.
	objectEnv = "LAUNCHER_TEST_OBJECT"
	// dieEnv makes a fake-runtime print it and exit.
	dieEnv = "LAUNCHER_TEST_DIE"
	// upEnv is the Config, for a launcher in a process of its own.
	upEnv = "LAUNCHER_TEST_UP"

	launcherProgram = "launcher-under-test"
	runtimeProgram  = "fake-runtime"
)

func TestMain(m *testing.M) {
	var err error
	switch filepath.Base(os.Args[0]) {
	case launcherProgram:
		var config Config
		if err = json.Unmarshal([]byte(os.Getenv(upEnv)), &config); err == nil {
			config.Progress, config.Logger = io.Discard, slog.New(slog.DiscardHandler)
			err = Up(context.Background(), config)
		}
	case controllerProgram:
		err = act(controllerProgram, serveplan)
	case hostProgram:
		err = act(argument("--host-id"), nil)
	case runtimeProgram:
		if message := os.Getenv(dieEnv); message != "" {
			fmt.Fprintln(os.Stderr, message)
			os.Exit(3)
		}
		dir, _ := os.Getwd() // <data-dir>/hosts/<id>/runtime
		err = act("runtime-"+filepath.Base(filepath.Dir(dir)), nil)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// argument answers what follows the flag on the command line.
func argument(flag string) string {
	if i := slices.Index(os.Args, flag); i >= 0 && i+1 < len(os.Args) {
		return os.Args[i+1]
	}
	return ""
}

// message is what a program says on the stage.
type message struct {
	// Event is "started", "ending", or, said by the stage itself, "gone".
	Event string
	Name  string
	PID   int
	Args  []string
}

// act plays one program until it is told to end or its standard input ends.
func act(name string, serve func(hangup <-chan os.Signal) error) error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	if serve != nil {
		if err := serve(hangup); err != nil {
			return err
		}
	}
	conn, err := net.Dial("unix", os.Getenv(stageEnv))
	if err != nil {
		return err
	}
	out := json.NewEncoder(conn)
	if err := out.Encode(message{"started", name, os.Getpid(), os.Args[1:]}); err != nil {
		return err
	}
	if strings.HasPrefix(name, "runtime-") { // a foreign program: nothing on standard input
		<-end
	} else {
		eof := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(eof)
		}()
		select {
		case <-end:
		case <-eof:
			return nil
		}
	}
	if err := out.Encode(message{"ending", name, os.Getpid(), nil}); err != nil {
		return err
	}
	_, err = bufio.NewReader(conn).ReadString('\n') // leave
	return err
}

// planServer is the controller's part that the launcher uses: it sends the plan in the file, and again on a hangup.
type planServer struct {
	adminv1.UnimplementedAdminServiceServer
	hangup <-chan os.Signal
}

func (s planServer) WatchPlan(_ *adminv1.WatchPlanRequest, stream adminv1.AdminService_WatchPlanServer) error {
	for {
		content, err := os.ReadFile(os.Getenv(planEnv))
		if err != nil {
			return err
		}
		plan := &adminv1.WatchPlanResponse{}
		if err := protojson.Unmarshal(content, plan); err != nil {
			return err
		}
		if err := stream.Send(plan); err != nil {
			return err
		}
		select {
		case <-s.hangup:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// ListObjects answers the InferenceService of the environment, if there is one.
func (s planServer) ListObjects(_ context.Context, r *adminv1.ListObjectsRequest) (*adminv1.ListObjectsResponse, error) {
	list := &adminv1.ListObjectsResponse{}
	if object := os.Getenv(objectEnv); object != "" && r.GetKind() == "InferenceService" {
		list.Objects = []string{object}
	}
	return list, nil
}

func serveplan(hangup <-chan os.Signal) error {
	paths := Paths{Root: argument("--data-dir")}
	_ = os.Remove(paths.AdminSocket()) // of one that was killed
	listener, err := net.Listen("unix", paths.AdminSocket())
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	adminv1.RegisterAdminServiceServer(server, planServer{hangup: hangup})
	go server.Serve(listener) // until the process ends
	return nil
}
