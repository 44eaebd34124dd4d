using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

// Chat FOLDER "question" "next question" …: without arguments the sample model, which babbles.
string folder = args.Length > 0 ? args[0] : Path.Combine(AppContext.BaseDirectory, "gpt-oss-sample");
string[] questions = args.Length > 1 ? args[1..] : ["What is a mixture of experts?"];

var services = new ServiceCollection();
services.AddMoePlugins();
services.AddGptOss(folder);
await using ServiceProvider provider = services.BuildServiceProvider();

// Whatever Microsoft.Extensions.AI has goes around it: here what calls the tools that the model asks for.
using IChatClient client = provider.GetRequiredService<IChatClient>().AsBuilder().UseFunctionInvocation().Build();
var options = new ChatOptions { MaxOutputTokens = 500, Tools = [AIFunctionFactory.Create(() => DateTime.Now.ToString("R", System.Globalization.CultureInfo.InvariantCulture), "now", "Tells the date and the time.")] };
var conversation = new List<ChatMessage>();
foreach (string question in questions)
{
    Console.WriteLine($"> {question}");
    conversation.Add(new ChatMessage(ChatRole.User, question));
    var updates = new List<ChatResponseUpdate>();
    await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(conversation, options))
    {
        updates.Add(update);
        Console.Write(update.Text);

        // What the model thinks goes where it is not taken for the answer.
        Console.Error.Write(string.Concat(update.Contents.OfType<TextReasoningContent>().Select(thinking => thinking.Text)));
    }

    conversation.AddMessages(updates);
    UsageDetails usage = updates.SelectMany(update => update.Contents).OfType<UsageContent>().Last().Details;
    Console.WriteLine($"\n[{usage.InputTokenCount} tokens read, {usage.CachedInputTokenCount} of them known; {usage.OutputTokenCount} written]");
}
