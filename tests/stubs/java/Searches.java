import com.netflix.conductor.common.metadata.tasks.Task;
import com.netflix.conductor.common.metadata.workflow.StartWorkflowRequest;
import com.netflix.conductor.common.run.SearchResult;
import com.netflix.conductor.common.run.TaskSummary;
import com.netflix.conductor.common.run.Workflow;
import com.netflix.conductor.common.run.Workflow.WorkflowStatus;
import com.netflix.conductor.common.run.WorkflowSummary;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Executions and tasks, found again. */
final class Searches {
    private Searches() {}

    static void byQuery(Clients clients) throws InterruptedException {
        clients.register("sought", Clients.task("SIMPLE", "sought"));
        String ended = started(clients, "book-1");
        clients.complete(clients.polled("sought"), Map.of("found", true));
        clients.reached(ended, WorkflowStatus.COMPLETED);
        String running = started(clients, "book-2");

        String query = "workflowType = 'sought' AND status IN (COMPLETED)";
        SearchResult<WorkflowSummary> summaries = clients.workflows.search(query);
        Clients.same("hits", 1L, summaries.getTotalHits());
        Clients.same("workflow", ended, summaries.getResults().get(0).getWorkflowId());
        Clients.same("sent", "COMPLETED", summaries.getResults().get(0).getStatus().name());
        SearchResult<Workflow> workflows =
                clients.workflows.searchV2(0, 1, "startTime:DESC", "*", "workflowType = 'sought'");
        Clients.same("all hits", 2L, workflows.getTotalHits());
        Clients.same("page", 1, workflows.getResults().size());
        Clients.same("latest", running, workflows.getResults().get(0).getWorkflowId());

        String tasks = "workflowId = '" + ended + "'";
        SearchResult<TaskSummary> taskSummaries = clients.tasks.search(tasks);
        Clients.same("tasks", 1L, taskSummaries.getTotalHits());
        Clients.same("of", ended, taskSummaries.getResults().get(0).getWorkflowId());
        SearchResult<Task> found = clients.tasks.searchV2(tasks);
        Clients.same("output", Map.of("found", true), found.getResults().get(0).getOutputData());
    }

    /** Not getWorkflowsByTimePeriod: in this client it calls nobody and returns null. */
    static void lists(Clients clients) {
        clients.register("listed", Clients.task("SIMPLE", "listed"));
        String first = started(clients, "listed", "book-3");
        String second = started(clients, "listed", "book-4");
        Clients.same(
                "running",
                Set.of(first, second),
                Set.copyOf(clients.workflows.getRunningWorkflow("listed", 1)));
        List<Workflow> related = clients.workflows.getWorkflows("listed", "book-3", false, true);
        Clients.same("related", 1, related.size());
        Clients.same("workflow", first, related.get(0).getWorkflowId());
        Clients.same("waiting", 2, clients.tasks.getQueueSizeForTask("listed"));
    }

    private static String started(Clients clients, String book) {
        return started(clients, "sought", book);
    }

    private static String started(Clients clients, String name, String book) {
        return clients.workflows.startWorkflow(
                new StartWorkflowRequest().withName(name).withCorrelationId(book));
    }
}
