import com.netflix.conductor.common.metadata.tasks.Task;
import com.netflix.conductor.common.metadata.tasks.TaskResult;
import com.netflix.conductor.common.metadata.workflow.RerunWorkflowRequest;
import com.netflix.conductor.common.run.Workflow;
import com.netflix.conductor.common.run.Workflow.WorkflowStatus;
import io.grpc.Status;
import java.util.Map;

/** What an operator does to an execution. */
final class LifeCycle {
    private LifeCycle() {}

    static void pause(Clients clients) throws InterruptedException {
        clients.register(
                "steps",
                Clients.task("SIMPLE", "one"),
                Clients.task("SIMPLE", "two"),
                Clients.task("SIMPLE", "three"));
        String id = clients.start("steps", Map.of());
        clients.workflows.pauseWorkflow(id);
        clients.reached(id, WorkflowStatus.PAUSED);
        clients.workflows.resumeWorkflow(id);
        clients.workflows.skipTaskFromWorkflow(id, "two");
        clients.workflows.runDecider(id);
        clients.complete(clients.polled("one"), Map.of());
        clients.complete(clients.polled("three"), Map.of());
        Workflow ended = clients.reached(id, WorkflowStatus.COMPLETED);
        Clients.same("two", Task.Status.SKIPPED, ended.getTaskByRefName("two").getStatus());
    }

    static void again(Clients clients) throws InterruptedException {
        clients.register("again", Clients.task("SIMPLE", "again"));
        String id = clients.start("again", Map.of("n", 1.0));
        Task failing = clients.polled("again");
        clients.update(failing, TaskResult.Status.FAILED_WITH_TERMINAL_ERROR, Map.of());
        clients.reached(id, WorkflowStatus.FAILED);
        clients.workflows.retryLastFailedTask(id, false);
        Task retried = clients.polled("again");
        Clients.same("retried", failing.getTaskId(), retried.getRetriedTaskId());

        clients.workflows.terminateWorkflow(id, "enough");
        clients.workflows.terminateWorkflow(id, "more than enough");
        Workflow ended = clients.reached(id, WorkflowStatus.TERMINATED);
        Clients.same("reason", "enough", ended.getReasonForIncompletion());

        clients.workflows.restart(id, true);
        clients.complete(clients.polled("again"), Map.of());
        Clients.same(
                "tasks", 1, clients.reached(id, WorkflowStatus.COMPLETED).getTasks().size());

        RerunWorkflowRequest rerun = new RerunWorkflowRequest();
        rerun.setReRunFromWorkflowId(id);
        rerun.setWorkflowInput(Map.of("n", 2.0));
        rerun.setTaskInput(Map.of()); // the client breaks on null, which is what it begins with
        Clients.same("rerun", id, clients.workflows.rerunWorkflow(rerun));
        clients.complete(clients.polled("again"), Map.of());
        Workflow last = clients.reached(id, WorkflowStatus.COMPLETED);
        Clients.same("input", Map.of("n", 2.0), last.getInput());
    }

    static void delete(Clients clients) {
        clients.register("gone", Clients.task("SIMPLE", "gone"));
        String id = clients.start("gone", Map.of());
        clients.workflows.terminateWorkflow(id, "unwanted");
        clients.workflows.deleteWorkflow(id, false);
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.workflows.getWorkflow(id, false));
    }
}
