using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Moe.Plugins;
using Moe.Plugins.GptOss;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers GPT-OSS as an <see cref="IChatClient"/>.</summary>
public static class GptOssServiceCollectionExtensions
{
    /// <summary>
    /// Registers a model, its tokenizer and an <see cref="IChatClient"/> as singletons. The model is loaded when one of them is first asked for;
    /// the container disposes them. Its expert layers come from the registered <see cref="IMoeHost"/>: call <c>AddMoePlugins</c> too, or register one.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="model">The model's folder.</param>
    public static IServiceCollection AddGptOss(this IServiceCollection services, string model)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(model);
        return services.AddGptOss(options => options.Model = model);
    }

    /// <inheritdoc cref="AddGptOss(IServiceCollection, string)"/>
    /// <param name="services">The services.</param>
    /// <param name="configure">Names the model's folder, and how it is run.</param>
    public static IServiceCollection AddGptOss(this IServiceCollection services, Action<GptOssOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.Configure(configure);
        services.TryAddSingleton(static provider => GptOssModel.Load(
            provider.GetRequiredService<IMoeHost>(), provider.GetRequiredService<IOptions<GptOssOptions>>().Value));
        services.TryAddSingleton(static provider => GptOssTokenizer.Open(
            provider.GetRequiredService<IOptions<GptOssOptions>>().Value.Model, provider.GetRequiredService<GptOssModel>().Config.VocabularySize));
        services.TryAddSingleton<IChatClient>(static provider => new GptOssChatClient(
            provider.GetRequiredService<GptOssModel>(),
            provider.GetRequiredService<GptOssTokenizer>(),
            provider.GetRequiredService<IOptions<GptOssChatOptions>>().Value));
        return services;
    }
}
