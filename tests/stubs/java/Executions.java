import com.netflix.conductor.common.metadata.tasks.Task;
import com.netflix.conductor.common.metadata.tasks.TaskDef;
import com.netflix.conductor.common.metadata.tasks.TaskResult;
import com.netflix.conductor.common.metadata.workflow.StartWorkflowRequest;
import com.netflix.conductor.common.metadata.workflow.SubWorkflowParams;
import com.netflix.conductor.common.metadata.workflow.WorkflowDef;
import com.netflix.conductor.common.metadata.workflow.WorkflowTask;
import com.netflix.conductor.common.run.Workflow;
import com.netflix.conductor.common.run.Workflow.WorkflowStatus;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Workflows started, worked on and read to their end. */
final class Executions {
    private Executions() {}

    /** The client has no numbers but doubles: it sends no others, and reads whole ones as such. */
    static void anyJson(Clients clients) throws InterruptedException {
        WorkflowTask step = Clients.task("SIMPLE", "json");
        step.setInputParameters(Map.of("all", "${workflow.input}"));
        WorkflowDef defined = Clients.definition("json", step);
        defined.setOutputParameters(Map.of("all", "${json.output}"));
        clients.metadata.registerWorkflowDef(defined);
        Map<String, Object> data = new HashMap<>();
        data.put("whole", 7.0);
        data.put("large", 1099511627776.0);
        data.put("fraction", 0.5);
        data.put("none", null);
        data.put("text", "ä \u0001 \uD83D\uDE00");
        data.put("list", List.of(1.0, "b", List.of(), Map.of("c", false)));

        String id = clients.start("json", data);
        Task task = clients.polled("json");
        Clients.same("input of the task", data, task.getInputData().get("all"));
        clients.complete(task, data);
        Workflow ended = clients.reached(id, WorkflowStatus.COMPLETED);
        Clients.same("input", data, ended.getInput());
        Clients.same("output", Map.of("all", data), ended.getOutput());
        Clients.same("output of the task", data, ended.getTasks().get(0).getOutputData());
        Clients.same("worker", Clients.WORKER, ended.getTasks().get(0).getWorkerId());
    }

    /** The client makes a task without an id of an answer without a task. */
    static void emptyPoll(Clients clients) {
        Task none = clients.tasks.pollTask("nothing", Clients.WORKER, "nowhere");
        Clients.same("task", "", none.getTaskId());
        Clients.same(
                "tasks",
                List.of(),
                clients.tasks.batchPollTasksByTaskType("nothing", Clients.WORKER, 10, 1));
    }

    /** The client's pollTask takes no task without a domain. */
    static void domain(Clients clients) throws InterruptedException {
        clients.register("placed", Clients.task("SIMPLE", "placed"));
        String id =
                clients.workflows.startWorkflow(
                        new StartWorkflowRequest()
                                .withName("placed")
                                .withCorrelationId("order-7")
                                .withTaskToDomain(Map.of("placed", "north")));
        clients.tasks.pollTask("placed", Clients.WORKER, "north");
        Task task = clients.workflows.getWorkflow(id, true).getTasks().get(0);
        Clients.same("status", Task.Status.IN_PROGRESS, task.getStatus());
        Clients.same("domain", "north", task.getDomain());
        clients.complete(task, Map.of());
        Workflow ended = clients.reached(id, WorkflowStatus.COMPLETED);
        Clients.same("correlation id", "order-7", ended.getCorrelationId());
    }

    static void streamedPoll(Clients clients) throws InterruptedException {
        clients.register("many", Clients.task("SIMPLE", "many"));
        List<String> ids = new ArrayList<>();
        for (int n = 0; n < 20; n++) {
            ids.add(clients.start("many", Map.of()));
        }
        Iterator<Task> coming =
                clients.tasks.batchPollTasksByTaskTypeAsync("many", Clients.WORKER, 20, Clients.POLL_MS);
        int taken = 0;
        while (coming.hasNext()) {
            clients.complete(coming.next(), Map.of());
            taken++;
        }
        Clients.same("tasks", 20, taken);
        for (String id : ids) {
            clients.reached(id, WorkflowStatus.COMPLETED);
        }
    }

    static void retries(Clients clients) throws InterruptedException {
        TaskDef defined = new TaskDef("flaky", "fails once", "owner@example.com", 1, 60, 30);
        defined.setRetryDelaySeconds(0);
        clients.metadata.registerTaskDefs(List.of(defined));
        clients.register("flaky", Clients.task("SIMPLE", "flaky"));
        String id = clients.start("flaky", Map.of());
        Task first = clients.polled("flaky");
        // In progress, and back in the queue at once
        clients.update(first, TaskResult.Status.IN_PROGRESS, Map.of("half", true));
        Task again = clients.polled("flaky");
        Clients.same("the same task", first.getTaskId(), again.getTaskId());
        clients.tasks.logMessageForTask(again.getTaskId(), "a line");
        Clients.same(
                "log",
                List.of("a line"),
                clients.tasks.getTaskLogs(again.getTaskId()).stream()
                        .map(each -> each.getLog())
                        .toList());
        TaskResult failed = new TaskResult(again);
        failed.setStatus(TaskResult.Status.FAILED);
        failed.setReasonForIncompletion("out of paper");
        clients.tasks.updateTask(failed);
        Task second = clients.polled("flaky");
        Clients.same("attempt", 1, second.getRetryCount());
        clients.complete(second, Map.of());
        Workflow ended = clients.reached(id, WorkflowStatus.COMPLETED);
        Clients.same(
                "attempts",
                List.of(Task.Status.FAILED, Task.Status.COMPLETED),
                ended.getTasks().stream().map(Task::getStatus).toList());
        Clients.same(
                "reason",
                "out of paper",
                clients.tasks.getTaskDetails(first.getTaskId()).getReasonForIncompletion());
    }

    /** System tasks of every shape, their whole numbers among what is read. */
    static void operators(Clients clients) throws InterruptedException {
        clients.register("child", Clients.task("SIMPLE", "inside"));
        WorkflowTask round = Clients.task("INLINE", "round");
        round.setInputParameters(Map.of("evaluatorType", "javascript", "expression", "40 + 2"));
        WorkflowTask loop = Clients.task("DO_WHILE", "loop");
        loop.setLoopCondition("$.loop.iteration < 2");
        loop.setLoopOver(List.of(round));
        SubWorkflowParams named = new SubWorkflowParams();
        named.setName("child");
        named.setVersion(1);
        named.setTaskToDomain(Map.of()); // the client breaks on null, which is what it begins with
        WorkflowTask part = Clients.task("SUB_WORKFLOW", "part");
        part.setSubWorkflowParam(named);
        WorkflowTask choice = Clients.task("SWITCH", "choice");
        choice.setEvaluatorType("value-param");
        choice.setExpression("way");
        choice.setInputParameters(Map.of("way", "${workflow.input.way}"));
        choice.setDecisionCases(Map.of("deep", List.of(part)));
        WorkflowTask event = Clients.task("EVENT", "event");
        event.setSink("conductor");
        event.setInputParameters(Map.of("large", 1099511627776.0));
        clients.register("shapes", loop, choice, event);

        String id = clients.start("shapes", Map.of("way", "deep"));
        Task inside = clients.polled("inside");
        Clients.same(
                "parent",
                id,
                clients.workflows
                        .getWorkflow(inside.getWorkflowInstanceId(), false)
                        .getParentWorkflowId());
        clients.complete(inside, Map.of("n", 3.0));
        Workflow ended = clients.reached(id, WorkflowStatus.COMPLETED);
        Map<String, Map<String, Object>> outputs = new HashMap<>();
        ended.getTasks().forEach(each -> outputs.put(each.getTaskType(), each.getOutputData()));
        Clients.same("iterations", 2.0, outputs.get("DO_WHILE").get("iteration"));
        Clients.same("expression", 42.0, outputs.get("INLINE").get("result"));
        Clients.same("child", 3.0, outputs.get("SUB_WORKFLOW").get("n"));
        Clients.same("event", 1099511627776.0, outputs.get("EVENT").get("large"));
    }
}
