// A worker made of nothing but the stubs that protoc generates from protos/podium/v1, by the comments
// of worker.proto alone. `stub-worker TARGET TASK_TYPE NAME TASKS_MAX` doubles the n of each task.
//
// It prints a JSON line per event: welcome, taken, extended, lost, broken. A task whose input has
// "hold" is kept until a line is read from stdin; the end of stdin is the order to drain.
//
// One goroutine (worker.run) owns all state; the others only pass frames, lines and the end of calls.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "podium.test/stubs/podium/v1"
)

const (
	reconnectMsMax = 2_000
	tickMs         = 200
)

// lease names a hand-out.
type lease struct {
	taskID string
	epoch  int64
}

// hold is a task in hand: received, and not given back or taken away.
type hold struct {
	task     *pb.Task
	result   *pb.Result // nil while it runs
	extended time.Time
}

type worker struct {
	client   pb.WorkerServiceClient
	taskType string
	name     string
	tasksMax int

	hand     map[lease]*hold
	serving  *stream   // the newest one that was welcomed; nil = none
	opening  *stream   // greeted, not welcomed yet; nil = none
	leaving  []*stream // told to go away; they still take results until another one is welcomed
	openAt   <-chan time.Time
	attempts int
	draining bool
	events   chan event
}

// event is what a stream's reader has to say: a frame, or the end of the call.
type event struct {
	from  *stream
	frame *pb.ServerFrame
	err   error
}

func main() {
	tasksMax, err := strconv.Atoi(os.Args[4])
	if err != nil {
		fail(err)
	}
	quick := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second}
	channel, err := grpc.NewClient(
		os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: quick, MinConnectTimeout: time.Second}),
	)
	if err != nil {
		fail(err)
	}
	w := &worker{
		client:   pb.NewWorkerServiceClient(channel),
		taskType: os.Args[2],
		name:     os.Args[3],
		tasksMax: tasksMax,
		hand:     map[lease]*hold{},
		events:   make(chan event),
	}
	w.run(lines())
}

// run ends when the worker is drained.
func (w *worker) run(orders <-chan string) {
	w.openAt = time.After(0)
	ticks := time.Tick(tickMs * time.Millisecond)
	for !(w.draining && len(w.hand) == 0 && w.allClosed()) {
		// One write is in flight: while the sender is busy, `out` takes nothing, and all that comes
		// up meanwhile waits for the next frame.
		sending, frame := w.next()
		var out chan<- *pb.WorkerFrame
		if sending != nil {
			out = sending.out
		}
		select {
		case out <- frame:
			sending.sent()
		case <-w.openAt:
			w.openAt = nil
			w.open()
		case event := <-w.events:
			w.hear(event)
		case _, more := <-orders:
			w.release()
			if !more {
				orders = nil
				w.drain()
			}
		case <-ticks:
			w.extend()
			w.dropSilent()
		}
	}
}

// next is a stream that has something to send, with the frame. Of several the oldest comes first:
// what waits there is what its server must hear.
func (w *worker) next() (*stream, *pb.WorkerFrame) {
	for _, each := range append(slices.Clone(w.leaving), w.serving, w.opening) {
		if each != nil {
			if frame := each.next(); frame != nil {
				return each, frame
			}
		}
	}
	return nil, nil
}

func (w *worker) hear(event event) {
	if event.err != nil {
		w.broken(event.from, event.err)
		return
	}
	from, frame := event.from, event.frame
	from.heard = time.Now()
	if frame.Welcome != nil {
		w.welcomed(from, frame.Welcome)
	}
	for _, task := range frame.Tasks {
		w.taken(task)
	}
	for _, ack := range frame.Acks {
		w.acknowledged(ack)
	}
	for _, each := range frame.Lost {
		w.forget("lost", lease{each.TaskId, each.LeaseEpoch})
	}
	for _, each := range frame.Cancels {
		w.forget("lost", lease{each.TaskId, each.LeaseEpoch})
	}
	if frame.Ping != nil {
		from.pending.Pong = &pb.Pong{Nonce: frame.Ping.Nonce}
	}
	if frame.GoAway != nil && from == w.serving {
		w.leaving, w.serving = append(w.leaving, from), nil
		w.openAt = time.After(time.Duration(frame.GoAway.ReconnectAfterMs) * time.Millisecond)
	}
	w.closeIfDrained()
}

// open greets the server: what is in hand is named, its results are sent again, and its credits are
// counted as taken.
func (w *worker) open() {
	if w.draining && len(w.hand) == 0 {
		return
	}
	s := connect(w.client, w.events)
	w.opening = s
	hello := &pb.Hello{
		WorkerId:  w.name,
		Sdk:       "stub-go/1",
		TaskTypes: []*pb.TaskType{{Name: w.taskType}},
	}
	for key := range w.hand {
		hello.InHand = append(hello.InHand, key.message())
	}
	s.pending.Hello = hello
	if w.draining {
		s.pending.Drain = &pb.Drain{}
		return
	}
	s.credit(w.taskType, w.tasksMax-len(w.hand))
}

// welcomed makes the stream the one that serves. Results that wait are sent now, when the limit of
// a frame is known.
func (w *worker) welcomed(s *stream, welcome *pb.Welcome) {
	w.opening, w.serving, w.attempts = nil, s, 0
	s.bytesMax = int(welcome.FrameBytesLimit)
	s.silenceMax = 2 * time.Duration(welcome.PingIntervalMs) * time.Millisecond
	tell("welcome", map[string]any{"resumed": ids(welcome.Resumed), "lost": ids(welcome.Lost)})
	for _, each := range welcome.Lost {
		// Their credits do not come back by themselves.
		if w.forget("lost", lease{each.TaskId, each.LeaseEpoch}) && !w.draining {
			s.credit(w.taskType, 1)
		}
	}
	for _, held := range w.hand {
		if held.result != nil {
			s.results = append(s.results, held.result)
		}
	}
	for _, each := range w.leaving {
		each.closing = true
	}
}

func (w *worker) taken(task *pb.Task) {
	held := &hold{task: task, extended: time.Now()}
	w.hand[lease{task.TaskId, task.LeaseEpoch}] = held
	tell("taken", map[string]any{"task_id": task.TaskId, "epoch": task.LeaseEpoch})
	var given struct {
		Hold bool `json:"hold"`
	}
	if err := json.Unmarshal(task.Input.GetJson(), &given); err == nil && given.Hold {
		return
	}
	w.finish(held)
}

// release finishes everything that is held.
func (w *worker) release() {
	for _, held := range w.hand {
		if held.result == nil {
			w.finish(held)
		}
	}
}

// finish keeps the result until its ack, and sends it on the stream that serves, or on one that was
// told to go away, if that is all there is.
func (w *worker) finish(held *hold) {
	held.result = work(held.task, w.name)
	if s := w.resultsTo(); s != nil {
		s.results = append(s.results, held.result)
	}
}

func (w *worker) resultsTo() *stream {
	if w.serving != nil {
		return w.serving
	}
	for _, each := range w.leaving {
		if !each.closing {
			return each
		}
	}
	return nil
}

func (w *worker) acknowledged(ack *pb.ResultAck) {
	key := lease{ack.TaskId, ack.LeaseEpoch}
	held := w.hand[key]
	if ack.Verdict == pb.ResultVerdict_RESULT_VERDICT_REJECTED && held != nil {
		// The lease stays; a sound result must follow.
		held.result = &pb.Result{
			TaskId:     ack.TaskId,
			LeaseEpoch: ack.LeaseEpoch,
			Status:     pb.ResultStatus_RESULT_STATUS_FAILED,
			Reason:     ack.Reason,
		}
		if s := w.resultsTo(); s != nil {
			s.results = append(s.results, held.result)
		}
		return
	}
	delete(w.hand, key)
}

// forget is for a task that is this worker's no longer: whether it was.
func (w *worker) forget(what string, key lease) bool {
	if w.hand[key] == nil {
		return false
	}
	delete(w.hand, key)
	tell(what, map[string]any{"task_id": key.taskID, "epoch": key.epoch})
	return true
}

// extend renews each lease that runs at a third of its response timeout.
func (w *worker) extend() {
	if w.serving == nil {
		return
	}
	for key, held := range w.hand {
		third := time.Duration(held.task.ResponseTimeoutMs) * time.Millisecond / 3
		if third == 0 || held.result != nil || time.Since(held.extended) < third {
			continue
		}
		held.extended = time.Now()
		w.serving.pending.Extends = append(w.serving.pending.Extends, key.message())
		tell("extended", map[string]any{"task_id": key.taskID, "epoch": key.epoch})
	}
}

// dropSilent ends a stream that was not heard of for two ping intervals.
func (w *worker) dropSilent() {
	if s := w.serving; s != nil && time.Since(s.heard) > s.silenceMax {
		s.cancel()
	}
}

func (w *worker) drain() {
	w.draining = true
	if w.serving != nil {
		w.serving.pending.Drain = &pb.Drain{}
	}
	w.closeIfDrained()
}

func (w *worker) closeIfDrained() {
	if w.draining && len(w.hand) == 0 && w.serving != nil {
		w.serving.closing = true
	}
}

// broken: connect again, at once after a stream that served, else after a random wait that grows.
func (w *worker) broken(s *stream, err error) {
	s.cancel()
	if status.Code(err) == codes.InvalidArgument {
		fail(err) // it would not help to connect again unchanged
	}
	if err != io.EOF {
		tell("broken", map[string]any{"status": status.Code(err).String()})
	}
	switch s {
	case w.serving:
		w.serving = nil
		w.openAt = time.After(0)
	case w.opening:
		w.opening = nil
		w.openLater()
	default:
		w.leaving = slices.DeleteFunc(w.leaving, func(each *stream) bool { return each == s })
	}
}

func (w *worker) openLater() {
	w.attempts = min(w.attempts+1, 6)
	most := min(50<<w.attempts, reconnectMsMax)
	w.openAt = time.After(time.Duration(rand.IntN(most)) * time.Millisecond)
}

func (w *worker) allClosed() bool {
	return w.serving == nil && w.opening == nil && len(w.leaving) == 0
}

// work doubles n.
func work(task *pb.Task, name string) *pb.Result {
	result := &pb.Result{TaskId: task.TaskId, LeaseEpoch: task.LeaseEpoch}
	var given struct {
		N *int64 `json:"n"`
	}
	if err := json.Unmarshal(task.Input.GetJson(), &given); err != nil || given.N == nil {
		result.Status = pb.ResultStatus_RESULT_STATUS_FAILED_WITH_TERMINAL_ERROR
		result.Reason = "expected a whole number n, found none"
		return result
	}
	output, err := json.Marshal(map[string]any{"n": 2 * *given.N, "by": name})
	if err != nil {
		fail(err)
	}
	result.Status = pb.ResultStatus_RESULT_STATUS_COMPLETED
	result.Output = &pb.Payload{Json: output}
	return result
}

func (key lease) message() *pb.TaskLease {
	return &pb.TaskLease{TaskId: key.taskID, LeaseEpoch: key.epoch}
}

func ids(leases []*pb.TaskLease) []string {
	found := []string{}
	for _, each := range leases {
		found = append(found, each.TaskId)
	}
	return found
}

// lines gives the lines of stdin, and is closed at its end.
func lines() <-chan string {
	found := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			found <- in.Text()
		}
		close(found)
	}()
	return found
}

func tell(event string, more map[string]any) {
	more["event"] = event
	line, err := json.Marshal(more)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
