namespace Moe.Plugins.GptOss.Tests;

/// <summary>The sample model, which speaks harmony and babbles.</summary>
internal sealed class Sample : IDisposable
{
    public Sample(MoeHost? host = null)
    {
        Model = GptOssModel.Load(host ?? Models.Host, new GptOssOptions { Model = Folder, MaxContext = 2000 });
        Tokenizer = GptOssTokenizer.Open(Folder, Model.Config.VocabularySize);
        Client = new GptOssChatClient(Model, Tokenizer, new GptOssChatOptions { Today = null });
    }

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "gpt-oss-sample");

    public GptOssModel Model { get; }

    public GptOssTokenizer Tokenizer { get; }

    public GptOssChatClient Client { get; }

    public void Dispose()
    {
        Client.Dispose();
        Model.Dispose();
    }
}
